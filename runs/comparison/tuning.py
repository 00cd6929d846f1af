"""Choose the best value of a key, for each scheduler, on the validation split."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runs.comparison.runs import Run
from runs.comparison.settings import differing_keys, what_matters


@dataclass
class Trials:
    """The runs of one scheduler with one value of the key: last validation top-1 by seed."""

    value: Any
    results: dict[int, float] = field(default_factory=dict)
    lost: int = 0

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return sum(self.results.values()) / len(self.results)


def choose_best(runs: Iterable[Run], key: str) -> str:
    """YAML with the best value of each scheduler, and what to know about it as comments.

    The best has the highest mean last validation top-1 of the values whose runs are all complete.

    Raises:
        ValueError: no run has the key, or none with it has a validation accuracy.
    """
    found: dict[str, dict[str, Trials]] = defaultdict(dict)
    settings = []
    for run in runs:
        if run.status == "unreadable" or key not in run.settings:
            continue
        settings.append({k: v for k, v in what_matters(run).items() if k != key})
        value = run.settings[key]
        trials = found[run.scheduler].setdefault(repr(value), Trials(value))
        if run.problem or not run.val:
            trials.lost += 1
        else:
            trials.results[run.seed] = run.val[max(run.val)]
    if not any(trials.results for tried in found.values() for trials in tried.values()):
        raise ValueError(f"--best {key}: no complete run has this key and a validation accuracy.")
    lines = [f"# The best {key} by mean last validation top-1.", *_warn(found, settings)]
    lines.append("peak_lr:" if key == "optimizer.lr" else f"{key.replace('.', '_')}:")
    for scheduler in sorted(found):
        lines.append("  " + _line(scheduler, list(found[scheduler].values())))
    return "\n".join(lines)


def _warn(found: dict[str, dict[str, Trials]], settings: list[dict[str, Any]]) -> list[str]:
    """Comments on what makes the choice unfair."""
    counts = {
        scheduler: sum(len(trials.results) + trials.lost for trials in tried.values())
        for scheduler, tried in found.items()
    }
    warnings = []
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{scheduler} {count}" for scheduler, count in sorted(counts.items()))
        warnings.append(f"# Unequal numbers of trials: {told}.")
    other = [key for key in differing_keys(settings) if not key.startswith("scheduler.")]
    if other:
        warnings.append(f"# The runs differ in other keys as well: {', '.join(other)}.")
    return warnings


def _line(scheduler: str, tried: list[Trials]) -> str:
    tried = sorted(tried, key=lambda trials: _order(trials.value))
    whole = [trials for trials in tried if trials.results and not trials.lost]
    if not whole:
        return f"# {scheduler}: no value whose runs are all complete"
    best = max(whole, key=lambda trials: trials.mean)
    notes = [f"{best.mean:.2f} % (n = {len(best.results)}), {len(tried)} tried"]
    if len({tuple(sorted(trials.results)) for trials in whole}) > 1:
        notes.append("UNEQUAL SEEDS")
    lost = [str(trials.value) for trials in tried if trials.lost]
    if lost:
        notes.append(f"failed or unfinished: {', '.join(lost)}")
    if len(tried) == 1:
        notes.append("THE ONLY VALUE")
    elif all(isinstance(trials.value, int | float) for trials in tried):
        if best is tried[0]:
            notes.append("AT THE LOWER EDGE: try lower values")
        if best is tried[-1]:
            notes.append("AT THE UPPER EDGE: try higher values")
    return f"{_yaml(scheduler)}: {_yaml(best.value)}  # {'; '.join(notes)}"


def _yaml(value: object) -> str:
    """A value as YAML on one line; quoted where a plain word would not do."""
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n")[0]


def _order(value: object) -> tuple[bool, float, str]:
    numeric = isinstance(value, int | float)
    return not numeric, float(value) if numeric else 0.0, str(value)
