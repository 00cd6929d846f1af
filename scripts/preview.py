"""Draw a schedule before it is trained, or beside the rates that a run applied.

    python -m scripts.preview scheduler=one_cycle
    python -m scripts.preview scheduler=step preview.out=step.png
    python -m scripts.preview preview.compare=[step,cosine_annealing] preview.log=true
    python -m scripts.preview preview.run=outputs/RUN
    python -m scripts.preview preview.gallery=true

The curve is the trace that training follows, from the same configuration. OneFlow, matplotlib and
TensorBoard are imported only where they are needed.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig

from common.checks import check_integer, refusal, suggest
from plots.curves import Curve, write_csv, write_json
from runs.build import base_lrs, build_horizon
from runs.command_line import run_command
from runs.config import read_run_config
from runs.folder import read_applied, read_metrics, read_summary
from runs.summary import choice
from runs.targets import check_targets

if TYPE_CHECKING:
    from schedulers import Horizon

GALLERY = Path("docs/schedules")
SUFFIXES = (".png", ".svg", ".gif", ".csv", ".json")


def preview(config: DictConfig) -> None:
    """Draw what `config.preview` asks for.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
    """
    import engine  # noqa: F401  (prepares the process for OneFlow)

    settings = config.preview
    wanted = [key for key in ("gallery", "run", "compare") if settings[key]]
    if len(wanted) > 1:
        raise ValueError(f"preview.{' and preview.'.join(wanted)} exclude each other: give one.")
    out = Path(settings.out or GALLERY)
    if settings.gallery:
        draw_gallery(config, out, schedule_names())
        return
    if settings.out and out.suffix not in SUFFIXES:
        raise refusal("preview.out", str(out), f"a file in {', '.join(SUFFIXES[:-1])} or .json")
    if settings.run:
        curves, title = read_run(Path(settings.run), config.allow_targets)
    elif settings.compare is not None:
        curves = [preview_schedule(config, name) for name in compared_names(settings.compare)]
        title = f"{len(curves)} schedules"
    else:
        curves = [preview_schedule(config, choice("scheduler", config))]
        title = curves[0].name
    print_curves(curves, title, settings.log)
    if settings.out:
        write(out, curves, title, settings.log)
        print(f"Written: {out}")
    if config.get("lint") == "error" and any(curve.findings for curve in curves):
        raise ValueError("lint=error: the schedule has the findings above.")


def preview_schedule(config: DictConfig, name: str) -> Curve:
    """Return the curve of a schedule under a configuration: the chosen one, or another YAML's."""
    from schedulers import trace_lr
    from schedulers.lint import lint_trace

    node = config.scheduler
    if name != choice("scheduler", config):
        other = config.copy()
        other.scheduler = compose("config", [f"scheduler={name}"]).scheduler
        node = other.scheduler
    horizon, base = preview_horizon(config), base_lrs(config)
    metrics, note = plateau_metrics(config, node, horizon)
    trace = trace_lr(node, base, horizon, metrics)
    # YAML and the command line read a bare `off` as false.
    wanted = config.get("lint") not in ("off", False)
    findings = lint_trace(node, base, horizon, trace) if wanted else []
    return Curve(name, trace, base, horizon, [str(finding) for finding in findings], note)


def compared_names(value: object) -> list[str]:
    """Return the names in preview.compare; refuse what is no list, and unknown names."""
    if not isinstance(value, ListConfig) or not value:
        raise refusal("preview.compare", str(value), "a list of names, as [step,rex]")
    known = schedule_names()
    for name in value:
        if name not in known:
            expected = f"one of {', '.join(known)}"
            raise ValueError(f"{refusal('preview.compare', name, expected)}{suggest(name, known)}")
    return list(value)


def schedule_names() -> list[str]:
    """Return the names that scheduler=NAME accepts."""
    return list(GlobalHydra.instance().config_loader().get_group_options("scheduler"))


def preview_horizon(config: DictConfig) -> "Horizon":
    """Return the run's length, or that of preview.total_steps and preview.steps_per_epoch."""
    from schedulers import Horizon

    total, per_epoch = names = ("total_steps", "steps_per_epoch")
    given = {name: config.preview[name] for name in names if config.preview[name] is not None}
    for name, steps in given.items():
        check_integer(f"preview.{name}", steps, 1)
    steps_per_epoch = given.get(per_epoch) or build_horizon(config).steps_per_epoch
    return Horizon(given.get(total) or config.epochs * steps_per_epoch, steps_per_epoch)


def plateau_metrics(
    config: DictConfig, node: DictConfig, horizon: "Horizon"
) -> tuple[dict[int, float] | None, str]:
    """Return the metric that a ReduceLROnPlateau is previewed on, and a line that names it."""
    from schedulers import is_plateau, made_up_metrics, to_steps

    if not is_plateau(node):
        return None, ""
    mode, folder = node.get("mode", "min"), config.preview.metrics
    if folder:
        return read_metrics(Path(folder), mode), f"the metric is that of {folder}"
    every = to_steps(config.trainer.eval_every, horizon, "trainer.eval_every", minimum=1)
    return made_up_metrics(mode, horizon.total_steps, every), (
        f"made-up metric, 10% better every {every} steps, no better after 40% of the run"
    )


def read_run(folder: Path, allow_targets: Sequence[str]) -> tuple[list[Curve], str]:
    """Return the rates that a run applied, those of its configuration's preview, and a title."""
    from schedulers import is_plateau, trace_lr

    config = read_run_config(folder)
    check_targets(config, allow_targets)  # the run may be a stranger's
    horizon, base = build_horizon(config), base_lrs(config)
    metrics = None
    if is_plateau(config.scheduler):
        metrics = read_metrics(folder, config.scheduler.get("mode", "min"))
    planned, applied = trace_lr(config.scheduler, base, horizon, metrics), read_applied(folder)
    steps = range(max(applied[0]) + 1)
    rates = [np.interp(steps, *zip(*sorted(group.items()), strict=True)) for group in applied]
    note = compare_rates(planned, applied)
    check = read_summary(folder).get("lr_check")
    if isinstance(check, dict) and check.get("mismatches"):
        note += f"; lr_check of the run: {check['mismatches']} of {check.get('steps')} differ"
    return [
        Curve("applied", [group.tolist() for group in rates], base, horizon, note=note),
        Curve("planned", planned, base, horizon, dashed=True),
    ], f"Run {folder.resolve().name}"


def compare_rates(planned: Sequence[Sequence[float]], applied: Sequence[dict[int, float]]) -> str:
    """Return how many recorded rates are as previewed, once both are 32-bit floats."""
    steps = sorted(applied[0])
    different = {
        step
        for plan, group in zip(planned, applied, strict=True)
        for step in steps
        if step >= len(plan) or np.float32(plan[step]) != np.float32(group.get(step, np.nan))
    }
    text = f"{len(steps) - len(different)} of {len(steps)} recorded rates are as previewed"
    return text + (f", the first other one is at step {min(different)}" if different else "")


def print_curves(curves: Sequence[Curve], title: str, log: bool) -> None:
    """Print the curves at 80 columns, their figures, notes and findings."""
    from plots.terminal import draw_terminal

    horizon = curves[0].horizon
    epochs, per_epoch = horizon.total_steps / horizon.steps_per_epoch, horizon.steps_per_epoch
    print(f"{title}: {epochs:.4g} epochs of {per_epoch:,} steps = {horizon.total_steps:,} steps")
    print(draw_terminal(curves, log, color=sys.stdout.isatty()))
    for curve in curves:
        heading = [f"{curve.name}:"] if len(curves) > 1 else []
        note = [f"Note: {curve.note}"] if curve.note else []
        lint = [f"Lint: {finding}" for finding in curve.findings]
        print(*heading, curve.summary(), *note, *lint, sep="\n")


def write(out: Path, curves: Sequence[Curve], title: str, log: bool) -> None:
    """Write the curves in the format that the suffix names."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix in (".json", ".csv"):
            (write_json if out.suffix == ".json" else write_csv)(out, curves)
        else:
            from plots.pictures import write_animation, write_picture

            draw = write_animation if out.suffix == ".gif" else write_picture
            draw(out, curves, title, log)
    except OSError as error:
        occupied = isinstance(error, FileExistsError)
        reason = f"{out.parent} is not a folder" if occupied else error.strerror
        raise OSError(f"preview.out={out} cannot be written: {reason}.") from error


def draw_gallery(config: DictConfig, folder: Path, names: Sequence[str]) -> None:
    """Write a png and a gif of each schedule to a folder."""
    for name in names:
        curve = preview_schedule(config, name)
        for suffix in (".png", ".gif"):
            write(folder / f"{name}{suffix}", [curve], name, config.preview.log)
        print("\n  Lint: ".join([f"{name}: {curve.summary()}", *curve.findings]))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"Written: {folder} ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    run_command(preview, "preview")
