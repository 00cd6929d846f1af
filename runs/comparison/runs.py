"""Find the run folders, and read what each says of itself, without trusting it."""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from runs.config import check_structure, read_run_config
from runs.folder import read_metrics, read_scalars, read_summary

MARKS = (".hydra", "summary.json", "metrics.jsonl")
AVERAGED = ("test_top1_ema", "test_top1_swa")  # with a mean of the weights; mostly there is none
MAX_TEXT = 2**26  # of a summary.json or a metrics.jsonl
LOG_TAIL = 2**16
LONGEST = 300  # of a text that is shown


@dataclass
class Run:
    """A run folder. A run with a `problem` is listed with it and enters no statistics.

    Attributes:
        settings: the config's values by dotted key.
        command: the overrides of its command line.
        status: completed, interrupted, failed, unfinished (no summary) or unreadable.
        val: validation top-1 in percent, by updates made.
        rates: learning rates of the first group, by step.
        summary: the figures of summary.json that were found and are in order.
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


def clean(value: object) -> str:
    """A text from a run folder on one line, without what a terminal or a page might obey.

    A control character in a picture would even end this process: vl-convert aborts.
    """
    text = "".join(c if c.isprintable() else " " for c in str(value)[: 10 * LONGEST])
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """The run folders among these folders and in them, at any depth; links are not followed.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}.")
        inside = list(_walk(folder.resolve()))
        if not inside:
            raise FileNotFoundError(f"{folder} is no run folder, and there is none in it.")
        found |= dict.fromkeys(inside)
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    for place, below, files in os.walk(folder):
        if any(mark in below or mark in files for mark in MARKS):
            below.clear()  # what lies in a run folder is the run's
            yield Path(place)
        below.sort(key=lambda name: [int(n or 0) for n in re.findall(r"^\d*", name)] + [name])


def read_run(folder: Path) -> Run:
    """Read a run folder; whatever is wrong with it becomes the run's `problem`."""
    run = Run(folder)
    try:
        for name in ("summary.json", "metrics.jsonl"):
            path = folder / name
            if path.is_file() and path.stat().st_size > MAX_TEXT:
                raise ValueError(f"{path} is larger than {MAX_TEXT} bytes.")
        run.settings = flatten(read_run_config(folder))
        run.command = _read_command(folder)
        summary = read_summary(folder)
        run.summary = _sound_figures(summary)
        run.seed = _read_seed(run.settings.get("seed"))
        run.scheduler = clean(summary.get("scheduler") or _chosen_scheduler(run))
        run.val = _read_val(folder)
        run.rates = read_scalars(folder, "lr/group0".__eq__).get("lr/group0", {})
        run.status = clean(summary.get("status", "unfinished"))
        run.problem = _judge(run)
    except (ValueError, OSError, ArithmeticError) as error:
        run.status = "unreadable"
        run.problem = clean(str(error).replace(f"{folder}/", "").replace(str(folder), "it"))
    return run


def _judge(run: Run) -> str:
    """Why a run enters no statistics; empty where it does."""
    if run.status != "completed":
        made = max([*run.rates, -1]) + 1
        if run.status == "unfinished":
            cut = f"no summary.json: it still runs, or was killed; {made} steps are recorded"
            return last_words(run.folder) or cut
        return last_words(run.folder) or f"{run.status} after {made} steps"
    if "test_top1" not in run.summary:
        return "it is completed, but summary.json has no test_top1 between 0 and 100"
    return ""


def last_words(folder: Path) -> str:
    """The last error in the run's train.log; empty where there is none."""
    path = folder / "train.log"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    errors = [line for line in lines if re.search(r"\[(ERROR|CRITICAL)\]|^\w*(Error|Exit)\b", line)]
    words = errors[-1] if errors else ""
    return clean(re.sub(r"^\[[^\]]*\]\[[^\]]*\]\[[A-Z]+\] - ", "", words).strip())


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a config by dotted key, not resolved; lists stay whole.

    >>> flatten({"optimizer": {"lr": 0.1}, "seed": 1})
    {'optimizer.lr': 0.1, 'seed': 1}
    """
    if isinstance(node, DictConfig | ListConfig):
        node = OmegaConf.to_container(node, resolve=False)
    if not isinstance(node, Mapping) or not node:
        value = node if isinstance(node, bool | int | float | None) else clean(node)
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flatten(value, f"{prefix}.{clean(key)}" if prefix else clean(key))
    return found


def _read_seed(seed: object) -> int:
    if type(seed) is not int:
        raise ValueError(f"its seed is {clean(seed)!r}; expected a whole number.")
    return seed


def _read_val(folder: Path) -> dict[int, float]:
    """Validation top-1 by step; empty where nothing was held out, or not yet looked at."""
    try:
        val = read_metrics(folder, "max")
    except FileNotFoundError:
        return {}
    if any(step < 0 or not _is_percent(value) for step, value in val.items()):
        raise ValueError("metrics.jsonl has a val/top1 that is no percentage.")
    return dict(sorted(val.items()))


def _read_command(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        content = file.read(2**18 + 1)
    try:
        text = content.decode()
        check_structure(text, len(content))
        words = yaml.safe_load(text) or []
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f".hydra/overrides.yaml is damaged: {clean(error)}.") from error
    return [clean(word) for word in words] if isinstance(words, list) else []


def _chosen_scheduler(run: Run) -> str:
    """The schedule of a run that has not told it: the word of its command line, or the class."""
    words = [word.partition("=") for word in run.command]
    chosen = [value for key, _, value in words if key.lstrip("+") == "scheduler"]
    target = str(run.settings.get("scheduler._target_", "?"))
    return chosen[-1] if chosen else target.rsplit(".", 1)[-1]


def _is_percent(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 100


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sound_figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the report uses of a summary.json, where it is of the right kind."""
    percents = ("test_top1", "test_top5", "val_top1_last", "val_top1_best", *AVERAGED)
    numbers = ("steps", "best_step", "seconds", "images_per_second")
    found = {name: summary[name] for name in percents if _is_percent(summary.get(name))}
    found |= {
        name: summary[name]
        for name in numbers
        if _is_number(summary.get(name)) and 0 <= summary[name] < 1e12
    }
    for name in ("model", "dataset", "hardware"):
        if isinstance(summary.get(name), str):
            found[name] = clean(summary[name])
    versions = summary.get("versions")
    if isinstance(versions, dict):
        found["versions"] = {clean(k): clean(v) for k, v in list(versions.items())[:20]}
    check = summary.get("lr_check")
    if isinstance(check, dict) and all(type(check.get(k)) is int for k in ("steps", "mismatches")):
        found["lr_check"] = {"steps": check["steps"], "mismatches": check["mismatches"]}
    return found
