"""Choose the best value of a key, for each scheduler, on the validation split."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from typing import Any

import yaml

from runs.comparison.runs import Run
from runs.comparison.settings import deciding_settings, differing_keys, order


def choose_best(runs: Iterable[Run], key: str) -> str:
    """Return YAML with the best value of each scheduler, and remarks on it as comments.

    The best has the highest mean last validation top-1 of the values whose runs are all complete.
    Without any such run it is a ValueError.
    """
    found: dict[str, dict[Any, list[Run]]] = defaultdict(lambda: defaultdict(list))
    settings = []
    for run in runs:
        if run.status != "unreadable" and key in run.settings:
            settings.append({k: v for k, v in deciding_settings(run).items() if k != key})
            found[run.scheduler][run.settings[key]].append(run)
    tried = [run for values in found.values() for group in values.values() for run in group]
    if not any(map(_is_whole, tried)):
        raise ValueError(f"--best {key}: no complete run has this key and a validation accuracy.")
    lines = [f"# The best {key} by mean last validation top-1."]
    counts = {
        name: sum(len({run.seed for run in group}) for group in values.values())
        for name, values in sorted(found.items())
    }
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{scheduler} {count}" for scheduler, count in counts.items())
        lines.append(f"# Unequal numbers of trials: {listed}.")
    other = [key for key in differing_keys(settings) if not key.startswith("scheduler.")]
    if other:
        lines.append(f"# The runs differ in other keys as well: {', '.join(other)}.")
    lines.append("peak_lr:" if key == "optimizer.lr" else f"{key.replace('.', '_')}:")
    return "\n".join([*lines, *(f"  {_line(name, found[name])}" for name in counts)])


def _is_whole(run: Run) -> bool:
    return not run.problem and bool(run.val)


def _line(scheduler: str, runs: dict[Any, list[Run]]) -> str:
    """Return the YAML line of one scheduler: its best value, and remarks behind it."""
    values = sorted(runs, key=order)
    whole = {
        value: {run.seed: run.val[max(run.val)] for run in runs[value]}
        for value in values
        if all(map(_is_whole, runs[value]))
    }
    if not whole:
        return f"# {scheduler}: no value whose runs are all complete"
    best = max(whole, key=lambda value: fmean(whole[value].values()))
    mean, n = fmean(whole[best].values()), len(whole[best])
    notes = [f"{mean:.2f} % (n = {n}), {len(values)} tried"]
    if len({tuple(sorted(results)) for results in whole.values()}) > 1:
        notes.append("UNEQUAL SEEDS")
    if excluded := [str(value) for value in values if value not in whole]:
        notes.append(f"failed or unfinished: {', '.join(excluded)}")
    if len(values) == 1:
        notes.append("THE ONLY VALUE")
    elif all(isinstance(value, int | float) for value in values):
        if best is values[0]:
            notes.append("AT THE LOWER EDGE: try lower values")
        if best is values[-1]:
            notes.append("AT THE UPPER EDGE: try higher values")
    return f"{_yaml(scheduler)}: {_yaml(best)}  # {'; '.join(notes)}"


def _yaml(value: object) -> str:
    """Return a value as YAML on one line; quoted where a plain word would not do."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n")[0]
