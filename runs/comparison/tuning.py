"""Choose the best value of a key, for each scheduler, on the validation split."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from runs.comparison.runs import Run
from runs.comparison.settings import deciding_settings, differing_keys, order


@dataclass
class Tried:
    """One scheduler's runs with one value of the key: last validation top-1 by seed."""

    value: Any
    results: dict[int, float] = field(default_factory=dict)
    excluded: int = 0

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return sum(self.results.values()) / len(self.results)


def choose_best(runs: Iterable[Run], key: str) -> str:
    """Return YAML with the best value of each scheduler, and remarks on it as comments.

    The best has the highest mean last validation top-1 of the values whose runs are all complete.

    Raises:
        ValueError: no run has the key, or none with it has a validation accuracy.
    """
    found: dict[str, dict[str, Tried]] = defaultdict(dict)
    settings = []
    for run in runs:
        if run.status == "unreadable" or key not in run.settings:
            continue
        settings.append({k: v for k, v in deciding_settings(run).items() if k != key})
        value = run.settings[key]
        tried = found[run.scheduler].setdefault(repr(value), Tried(value))
        if run.problem or not run.val:
            tried.excluded += 1
        else:
            tried.results[run.seed] = run.val[max(run.val)]
    if not any(tried.results for values in found.values() for tried in values.values()):
        raise ValueError(f"--best {key}: no complete run has this key and a validation accuracy.")
    lines = [f"# The best {key} by mean last validation top-1."]
    counts = {
        scheduler: sum(len(tried.results) + tried.excluded for tried in values.values())
        for scheduler, values in sorted(found.items())
    }
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{scheduler} {count}" for scheduler, count in counts.items())
        lines.append(f"# Unequal numbers of trials: {listed}.")
    other = [key for key in differing_keys(settings) if not key.startswith("scheduler.")]
    if other:
        lines.append(f"# The runs differ in other keys as well: {', '.join(other)}.")
    lines.append("peak_lr:" if key == "optimizer.lr" else f"{key.replace('.', '_')}:")
    lines += [f"  {_line(name, list(values.values()))}" for name, values in sorted(found.items())]
    return "\n".join(lines)


def _line(scheduler: str, values: list[Tried]) -> str:
    """Return the YAML line of one scheduler: its best value, and remarks behind it."""
    values = sorted(values, key=lambda tried: order(tried.value))
    whole = [tried for tried in values if tried.results and not tried.excluded]
    if not whole:
        return f"# {scheduler}: no value whose runs are all complete"
    best = max(whole, key=lambda tried: tried.mean)
    notes = [f"{best.mean:.2f} % (n = {len(best.results)}), {len(values)} tried"]
    if len({tuple(sorted(tried.results)) for tried in whole}) > 1:
        notes.append("UNEQUAL SEEDS")
    excluded = [str(tried.value) for tried in values if tried.excluded]
    if excluded:
        notes.append(f"failed or unfinished: {', '.join(excluded)}")
    if len(values) == 1:
        notes.append("THE ONLY VALUE")
    elif all(isinstance(tried.value, int | float) for tried in values):
        if best is values[0]:
            notes.append("AT THE LOWER EDGE: try lower values")
        if best is values[-1]:
            notes.append("AT THE UPPER EDGE: try higher values")
    return f"{_yaml(scheduler)}: {_yaml(best.value)}  # {'; '.join(notes)}"


def _yaml(value: object) -> str:
    """Return a value as YAML on one line; quoted where a plain word would not do."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n")[0]
