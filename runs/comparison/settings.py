"""Which runs belong together: schedules (runs that differ in their seed alone) under conditions."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runs.comparison.runs import Run, clean
from runs.overrides import CHANGES_NO_RESULT, LOOKED_UP

# What does not tell two experiments apart: it changes no result, or says where a run came from.
NO_MATTER = {*CHANGES_NO_RESULT, "seed", "fork"}
# Runs that differ in these answer different questions: they get tables of their own.
CONDITIONS = ("dataset.", "model.", "batch_size", "epochs", "max_steps")
BUDGET = ("epochs", "max_steps")


@dataclass
class Schedule:
    """Runs that differ in their seed alone.

    Attributes:
        runs: the sound ones by seed.
        lost: those with a problem.
        differs: the keys in which this schedule differs from others, that its label does not tell.
    """

    label: str
    scheduler: str
    settings: dict[str, Any]
    runs: dict[int, Run] = field(default_factory=dict)
    lost: list[Run] = field(default_factory=list)
    differs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Condition:
    """Schedules that were run with the same data, net, batch size and budget."""

    title: str
    settings: dict[str, Any]
    schedules: list[Schedule]


def arrange(runs: Iterable[Run]) -> list[Condition]:
    """Sort runs into conditions and schedules.

    Of two sound runs with the same configuration and seed, which are one and the same experiment,
    the one read last counts; the other gets a problem that says so.
    """
    schedules: dict[str, Schedule] = {}
    for run in runs:
        if run.status == "unreadable":
            continue
        settings = what_matters(run)
        identity = json.dumps([run.scheduler, settings], sort_keys=True)
        schedule = schedules.setdefault(identity, Schedule("", run.scheduler, settings))
        if run.problem:
            schedule.lost.append(run)
            continue
        if older := schedule.runs.get(run.seed):
            older.problem = f"the same configuration and seed as {run.folder.name}, which counts"
            schedule.lost.append(older)
        schedule.runs[run.seed] = run
    conditions = _split(list(schedules.values()))
    for condition in conditions:
        _name_schedules(condition)
    return conditions


def what_matters(run: Run) -> dict[str, Any]:
    """The settings that decide what a run computes, but for its seed.

    Null is left out: it is what a key means that an older run's config does not have yet.
    """
    return {
        key: value
        for key, value in run.settings.items()
        if value is not None and key not in NO_MATTER and not key.startswith(LOOKED_UP)
    }


def _split(schedules: Sequence[Schedule]) -> list[Condition]:
    """By condition, unless each had only one schedule: then they are compared with each other."""
    parts: dict[str, list[Schedule]] = defaultdict(list)
    for schedule in schedules:
        parts[json.dumps(_conditions(schedule), sort_keys=True)].append(schedule)
    if all(len(part) == 1 for part in parts.values()):
        return [Condition("", {}, list(schedules))] if schedules else []
    all_conditions = [_conditions(part[0]) for part in parts.values()]
    varied = differing_keys(all_conditions)
    conditions = [
        Condition(tell({key: chosen.get(key) for key in varied}), chosen, part)
        for chosen, part in zip(all_conditions, parts.values(), strict=True)
    ]
    return sorted(conditions, key=lambda part: [_order(part.settings.get(key)) for key in varied])


def _conditions(schedule: Schedule) -> dict[str, Any]:
    return {key: value for key, value in schedule.settings.items() if key.startswith(CONDITIONS)}


def _order(value: object) -> tuple[int, float, str]:
    """Numbers by size, before texts; nothing (no limit) last."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1 + (value is None), 0.0, str(value)


def _name_schedules(condition: Condition) -> None:
    """Label and sort the schedules: by scheduler, and the keys that tell two of one apart.

    A key that one scheduler needs for that, as the peak rate in a sweep over it, is in all labels.
    """
    of_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for schedule in condition.schedules:
        of_name[schedule.scheduler].append(schedule.settings)
    own = {name: set(differing_keys(settings)) for name, settings in of_name.items()}
    shared = {key for keys in own.values() for key in keys if not key.startswith("scheduler.")}
    varied = differing_keys([schedule.settings for schedule in condition.schedules])

    def told(schedule: Schedule) -> dict[str, Any]:
        keys = own[schedule.scheduler] | shared
        return {key: schedule.settings.get(key) for key in varied if key in keys}

    condition.schedules.sort(key=lambda s: [s.scheduler, *map(_order, told(s).values())])
    used: set[str] = set()
    for schedule in condition.schedules:
        name, chosen = schedule.scheduler, told(schedule)
        schedule.label = clean(f"{name} ({tell(chosen)})" if chosen else name)
        while schedule.label in used:  # only where a text was cut
            schedule.label += "'"
        used.add(schedule.label)
        schedule.differs = {
            key: schedule.settings.get(key)
            for key in varied
            if key not in chosen and not key.startswith("scheduler.")
        }


def differing_keys(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The keys that have not the same value in all of these."""
    keys = dict.fromkeys(key for chosen in settings for key in chosen)
    return [key for key in keys if len({_same(chosen.get(key)) for chosen in settings}) > 1]


def _same(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def tell(settings: dict[str, Any]) -> str:
    """As on a command line; a schedule's own arguments without `scheduler.`.

    >>> tell({"scheduler.gamma": 0.1, "optimizer.lr": 0.2})
    'gamma=0.1, optimizer.lr=0.2'
    """
    return ", ".join(
        f"{key.removeprefix('scheduler.')}={'null' if value is None else value}"
        for key, value in settings.items()
    )


def budgets(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """Conditions that differ in the length of the run alone, each list from short to long."""
    families: dict[str, list[Condition]] = defaultdict(list)
    for condition in conditions:
        rest = {key: value for key, value in condition.settings.items() if key not in BUDGET}
        families[json.dumps(rest, sort_keys=True)].append(condition)
    return [family for family in families.values() if len(family) > 1]
