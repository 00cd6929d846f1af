"""Which runs belong together: schedules (runs that differ in their seed alone) under conditions."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runs.comparison.runs import Run, clean
from runs.overrides import CHANGES_NO_RESULT, LOOKED_UP

# Keys that make no other experiment: they change no result, or name where a run came from.
IGNORED = {*CHANGES_NO_RESULT, "seed", "fork"}
# Runs that differ in these answer different questions: they get tables of their own.
CONDITIONS = ("dataset.", "model.", "batch_size", "epochs", "max_steps")
BUDGET = ("epochs", "max_steps")


@dataclass
class Schedule:
    """Runs that differ in their seed alone.

    Attributes:
        label: its name in the report, unique in its condition.
        runs: the complete ones by seed.
        excluded: those with a problem.
        differs: the settings in which it differs from the condition's others, but for its label's.
    """

    scheduler: str
    settings: dict[str, Any]
    label: str = ""
    runs: dict[int, Run] = field(default_factory=dict)
    excluded: list[Run] = field(default_factory=list)
    differs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Condition:
    """Schedules that were run with the same data, model, batch size and budget."""

    title: str
    settings: dict[str, Any]
    schedules: list[Schedule]


def arrange(runs: Iterable[Run]) -> list[Condition]:
    """Sort runs into conditions and schedules.

    Two complete runs with the same configuration and seed are one experiment: the one read last
    counts, and the other gets a problem.
    """
    schedules: dict[str, Schedule] = {}
    for run in [run for run in runs if run.status != "unreadable"]:
        new = Schedule(run.scheduler, deciding_settings(run))
        schedule = schedules.setdefault(_text([new.scheduler, new.settings]), new)
        if run.problem:
            schedule.excluded.append(run)
            continue
        if older := schedule.runs.get(run.seed):
            older.problem = f"the same configuration and seed as {run.folder.name}, which counts"
            schedule.excluded.append(older)
        schedule.runs[run.seed] = run
    conditions = _split(list(schedules.values()))
    for condition in conditions:
        _name_schedules(condition)
    return conditions


def deciding_settings(run: Run) -> dict[str, Any]:
    """Return the settings that decide what a run computes, but for its seed.

    Null is left out: it is the meaning of a key that a run's config does not have.
    """
    return {
        key: value
        for key, value in run.settings.items()
        if value is not None and key not in IGNORED and not key.startswith(LOOKED_UP)
    }


def _split(schedules: Sequence[Schedule]) -> list[Condition]:
    """Split by condition, unless each has only one schedule: then they are compared at once."""
    parts: dict[str, list[Schedule]] = defaultdict(list)
    for schedule in schedules:
        parts[_text(_condition_of(schedule))].append(schedule)
    if all(len(part) == 1 for part in parts.values()):
        return [Condition("", {}, list(schedules))] if schedules else []
    varied = differing_keys([_condition_of(part[0]) for part in parts.values()])
    found = [Condition("", _condition_of(part[0]), part) for part in parts.values()]
    for condition in found:
        condition.title = write_settings({key: condition.settings.get(key) for key in varied})
    return sorted(found, key=lambda part: [order(part.settings.get(key)) for key in varied])


def _condition_of(schedule: Schedule) -> dict[str, Any]:
    return {key: value for key, value in schedule.settings.items() if key.startswith(CONDITIONS)}


def order(value: object) -> tuple[int, float, str]:
    """Return a key that sorts numbers by size, before texts; nothing (no limit) last."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1 + (value is None), 0.0, str(value)


def _name_schedules(condition: Condition) -> None:
    """Label and sort the schedules: by scheduler, and the keys that separate two with the same.

    A key that one scheduler needs for that, as the peak rate in a sweep over it, is in all labels.
    """
    by_scheduler: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for schedule in condition.schedules:
        by_scheduler[schedule.scheduler].append(schedule.settings)
    needed = {name: set(differing_keys(settings)) for name, settings in by_scheduler.items()}
    shared = {key for keys in needed.values() for key in keys if not key.startswith("scheduler.")}
    varied = differing_keys([schedule.settings for schedule in condition.schedules])

    def in_label(schedule: Schedule) -> dict[str, Any]:
        keys = needed[schedule.scheduler] | shared
        return {key: schedule.settings.get(key) for key in varied if key in keys}

    condition.schedules.sort(key=lambda s: [s.scheduler, *map(order, in_label(s).values())])
    used: set[str] = set()
    for schedule in condition.schedules:
        name, chosen = schedule.scheduler, in_label(schedule)
        schedule.label = clean(f"{name} ({write_settings(chosen)})" if chosen else name)
        while schedule.label in used:  # only where a text was cut
            schedule.label += "'"
        used.add(schedule.label)
        schedule.differs = {
            key: schedule.settings.get(key)
            for key in varied
            if key not in chosen and not key.startswith("scheduler.")
        }


def differing_keys(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Return the keys that have not the same value in all of these."""
    keys = dict.fromkeys(key for chosen in settings for key in chosen)
    return [key for key in keys if len({_text(chosen.get(key)) for chosen in settings}) > 1]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def write_settings(settings: dict[str, Any]) -> str:
    """Return settings as on a command line; a schedule's own arguments without `scheduler.`.

    >>> write_settings({"scheduler.gamma": 0.1, "optimizer.lr": 0.2})
    'gamma=0.1, optimizer.lr=0.2'
    """
    return ", ".join(
        f"{key.removeprefix('scheduler.')}={'null' if value is None else value}"
        for key, value in settings.items()
    )
