"""Find run folders and read each one; a run that cannot be read has a `problem`."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from common.checks import is_integer, is_number, refusal
from runs.config import read_run_config
from runs.folder import read_evaluations, read_scalars, read_summary
from runs.overrides import flatten, read_overrides

MARKS = (".hydra", "summary.json", "metrics.jsonl")  # a folder with one of these is a run's
AVERAGED = ("test_top1_ema", "test_top1_swa")  # of averaged weights; most runs have none
PERCENTS = ("test_top1", "test_top5", "val_top1_last", "val_top1_best", *AVERAGED)
NUMBERS = ("steps", "best_step", "seconds", "images_per_second")
LOG_TAIL = 2**16
LONGEST = 300  # letters of a text that is shown


@dataclass
class Run:
    """A run folder. A run with a `problem` is listed with it and enters no statistics.

    Attributes:
        settings: the config's values by dotted key.
        command: the overrides of its command line.
        status: completed, interrupted, failed, unfinished (no summary) or unreadable.
        val: validation top-1 in percent, by updates made.
        rates: learning rates of the first group, by step.
        summary: the valid figures of summary.json.
    """

    folder: Path
    scheduler: str = "?"
    seed: int | None = None
    status: str = "unreadable"
    problem: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    val: dict[int, float] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


def clean(value: object, longest: int = LONGEST) -> str:
    """Return a text from a run folder on one line, without what a terminal or a page might obey.

    A control character in a picture would even end this process: vl-convert aborts.
    """
    text = "".join(c if c.isprintable() else " " for c in str(value)[: 10 * LONGEST])
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Return the run folders among these and in them, at any depth; links are not followed."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}.")
        if not (inside := list(_walk(folder.resolve()))):
            raise FileNotFoundError(f"{folder} is no run folder, and there is none in it.")
        found += inside
    return list(dict.fromkeys(found))


def _walk(folder: Path) -> Iterator[Path]:
    for place, below, files in os.walk(folder):
        if any(mark in below or mark in files for mark in MARKS):
            below.clear()  # folders inside a run folder are the run's
            yield Path(place)
        below.sort(key=lambda name: [int(n or 0) for n in re.findall(r"^\d*", name)] + [name])


def read_run(folder: Path) -> Run:
    """Return a run; if its folder cannot be read, `problem` says why."""
    run = Run(folder)
    try:
        run.settings = clean_settings(read_run_config(folder))
        run.command = [clean(word) for word in read_overrides(folder, checked=False)]
        summary = read_summary(folder)
        run.summary = _valid_figures(summary)
        seed = run.settings.get("seed")
        if not is_integer(seed):
            raise refusal("seed", seed, "an integer")
        run.seed = seed
        run.scheduler = clean(summary.get("scheduler") or _chosen_scheduler(run))
        run.val = dict(sorted(read_evaluations(folder, "val/top1").items()))
        if not all(is_number(value) and 0 <= value <= 100 for value in run.val.values()):
            raise ValueError("metrics.jsonl has a val/top1 that is no percentage.")
        run.rates = read_scalars(folder, "lr/group0".__eq__).get("lr/group0", {})
        run.status = clean(summary.get("status", "unfinished"))
        run.problem = _find_problem(run)
    except (ValueError, OSError, ArithmeticError) as error:
        run.status = "unreadable"
        run.problem = clean(str(error).replace(f"{folder}/", "").replace(str(folder), "it"))
    return run


def clean_settings(config: DictConfig) -> dict[str, Any]:
    """Return a config's values by dotted key, not resolved; lists and the like as clean texts."""
    values = flatten(OmegaConf.to_container(config, resolve=False))
    return {
        clean(key): value if isinstance(value, bool | int | float | None) else clean(value)
        for key, value in values.items()
    }


def _chosen_scheduler(run: Run) -> str:
    """Return the scheduler of the command line or the name of its class, for want of a summary."""
    words = (word.lstrip("+").partition("=") for word in run.command)
    target = str(run.settings.get("scheduler._target_", "?"))
    chosen = [value for key, _, value in words if key == "scheduler"]
    return chosen[-1] if chosen else target.rsplit(".", 1)[-1]


def _find_problem(run: Run) -> str:
    """Return why a run enters no statistics; empty where it does."""
    if run.status == "completed":
        lacks = "it is completed, but summary.json has no test_top1 between 0 and 100"
        return "" if "test_top1" in run.summary else lacks
    made = max([*run.rates, -1]) + 1
    reason = f"{run.status} after {made} steps"
    if run.status == "unfinished":
        reason = f"no summary.json: it still runs, or was killed; {made} steps are recorded"
    return last_error(run.folder) or reason


def last_error(folder: Path) -> str:
    """Return the last error in the run's train.log; empty where there is none."""
    path = folder / "train.log"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    errors = [line for line in lines if re.search(r"\[(ERROR|CRITICAL)\]|^\w*(Error|Exit)\b", line)]
    line = errors[-1] if errors else ""
    return clean(re.sub(r"^\[[^\]]*\]\[[^\]]*\]\[[A-Z]+\] - ", "", line).strip())


def _valid_figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report uses of a summary.json, where it is of the right kind."""
    high = dict.fromkeys(PERCENTS, 100) | dict.fromkeys(NUMBERS, 1e12)
    found = {name: value for name, value in summary.items() if name in high}
    found = {k: v for k, v in found.items() if is_number(v) and 0 <= v <= high[k]}
    texts = {name: summary.get(name) for name in ("model", "dataset", "hardware")}
    found |= {name: clean(text) for name, text in texts.items() if isinstance(text, str)}
    versions = summary.get("versions")
    if isinstance(versions, dict):
        found["versions"] = {clean(k): clean(v) for k, v in list(versions.items())[:20]}
    check = summary.get("lr_check")
    if isinstance(check, dict) and all(is_integer(check.get(k)) for k in ("steps", "mismatches")):
        found["lr_check"] = {"steps": check["steps"], "mismatches": check["mismatches"]}
    return found
