"""The curves of a run folder, or of all runs of a multirun: planned and applied rates, accuracy.

The folder may come from a stranger, and a run may have been cut off anywhere: what cannot be read
is told in a sentence, and the rest is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf

from runs.build import base_lrs, build_horizon
from runs.config import read_run_config
from runs.folder import read_applied, read_evaluations, read_metrics, read_summary
from runs.settings import check_settings
from runs.targets import check_targets
from schedulers import Horizon
from schedulers.build import is_plateau
from scripts.explorer.node import check_node
from scripts.explorer.setups import trace_node

MAX_RUNS = 64  # of a multirun


@dataclass
class RunCurves:
    """One run; of its parameter groups the first.

    Attributes:
        label: the folder's name.
        status: `completed`, `interrupted` or `failed` as its summary says; without one, `running`
            or killed: `unfinished`.
        base_lr: the optimizer's rate; None where the config cannot be used.
        horizon: the run's length; None likewise.
        planned: the trace of the saved config, a rate per step.
        applied: (step, rate) of every recorded update.
        evaluations: (updates made, val/top1 in percent).
        problems: a sentence for each thing that cannot be read.
    """

    label: str
    status: str = "unfinished"
    base_lr: float | None = None
    horizon: Horizon | None = None
    planned: list[float] = field(default_factory=list)
    applied: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_runs(path: str | Path) -> list[RunCurves]:
    """The runs in a folder: a run folder itself, or the run folders of a multirun.

    Raises:
        ValueError: there is no such folder, it holds no run, or too many.
    """
    folder = Path(path)
    try:
        if is_run(folder):
            return [read_run(folder)]
        inside = [child for child in folder.iterdir() if is_run(child)]
    except (OSError, ValueError) as error:  # a ValueError for a null character
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{str(path)!r:.200} cannot be opened: {reason}.") from error
    if not 1 <= len(inside) <= MAX_RUNS:
        found = f"{len(inside)} run folders" if inside else "no run folder (.hydra/config.yaml)"
        raise ValueError(f"{str(path)!r:.200} holds {found}: give one with 1 to {MAX_RUNS}.")
    return [read_run(child) for child in sorted(inside, key=_place)]


def is_run(folder: Path) -> bool:
    """Whether this is a run folder."""
    return (folder / ".hydra" / "config.yaml").is_file()


def _place(folder: Path) -> tuple[int, str]:
    """By the number of the job (`2_step_seed0` before `10_step_seed0`), then by name."""
    number = folder.name.partition("_")[0]
    return (int(number) if number.isdecimal() else 0, folder.name)


def read_run(folder: Path) -> RunCurves:
    """What can be read of one run."""
    run = RunCurves(folder.resolve().name)
    parts: dict[str, Callable[[RunCurves, Path], None]] = {
        "summary.json": _read_status,
        ".hydra/config.yaml": _read_planned,
        "events.out.tfevents.*": _read_applied,
        "metrics.jsonl": _read_evaluations,
    }
    for name, read in parts.items():
        try:
            read(run, folder)
        except Exception as error:  # damage shows in many ways; what is left is still worth a look
            sentence = " ".join(str(error).split()) or type(error).__name__
            told = isinstance(error, ValueError | OSError)
            run.problems.append(f"{'' if told else f'{name} cannot be used: '}{sentence:.500}")
    return run


def _read_status(run: RunCurves, folder: Path) -> None:
    status = read_summary(folder).get("status", run.status)
    if status not in ("completed", "interrupted", "failed", "unfinished"):
        raise ValueError(f"{folder / 'summary.json'} is damaged: status={status!r:.80}.")
    run.status = status


def _read_planned(run: RunCurves, folder: Path) -> None:
    config = read_run_config(folder)
    check_targets(config, [])
    check_settings(config)
    node = check_node(OmegaConf.to_container(config, resolve=True).get("scheduler"))
    base_lr, horizon = base_lrs(config)[0], build_horizon(config)
    metrics = None
    if is_plateau(OmegaConf.create(node)):
        metrics = read_metrics(folder, str(node.get("mode", "min")))
    run.planned = trace_node(node, base_lr, horizon, metrics)
    run.base_lr, run.horizon = base_lr, horizon


def _read_applied(run: RunCurves, folder: Path) -> None:
    run.applied = sorted(read_applied(folder)[0].items())


def _read_evaluations(run: RunCurves, folder: Path) -> None:
    run.evaluations = sorted(read_evaluations(folder, "val/top1").items())
