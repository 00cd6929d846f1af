"""A sweep's jobs as a list, and how long they will take: `dry_run=true`."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runs.config import read_run_config
from runs.folder import read_summary
from runs.overrides import CHANGES_NO_RESULT, flatten, plain
from runs.sweep.plan import Planned
from runs.sweep.progress import clock

# What decides how long a step takes.
DECIDES = ("model", "dataset", "optimizer._target_", "batch_size", "trainer.eval_every")
NEWEST = 100  # so many runs are looked at: reading a config takes some milliseconds


def list_jobs(config: DictConfig, planned: Sequence[Planned], folder: Path) -> list[str]:
    """The lines that say what a sweep would do.

    Args:
        config: of the sweep, with Hydra's own part.
        planned: its jobs; none of a search, which decides them as it goes.
        folder: of the sweep.
    """
    if not planned:
        trials = OmegaConf.select(config, "hydra.sweeper.n_trials")
        return [f"A search decides its jobs as it goes ({trials} trials). Nothing was started."]
    width = max(len(plan.job.folder.name) for plan in planned)
    lines = [f"{plan.job.folder.name:<{width}}  {tell_state(plan)}" for plan in planned]
    counts = Counter(plan.job.state for plan in planned)
    return [
        *lines,
        "",
        f"{len(planned)} jobs in {os.path.relpath(folder)}: {counts['done']} done, "
        f"{counts['cut']} to continue, {counts['new']} to run",
        tell_time(planned, jobs_at_once(config), folder),
        "Nothing was started.",
    ]


def tell_state(plan: Planned) -> str:
    """What is left to do of a job."""
    return {
        "done": "done",
        "cut": f"to continue from step {plan.job.step} of {plan.total_steps}",
        "new": f"to run, {plan.total_steps} steps",
    }[plan.job.state]


def jobs_at_once(config: DictConfig) -> int | None:
    """How many jobs the launcher runs at a time; None where a cluster decides it."""
    launcher = config.hydra.runtime.choices["hydra/launcher"]
    if launcher == "joblib":
        from joblib import effective_n_jobs

        return int(effective_n_jobs(config.hydra.launcher.n_jobs))
    return 1 if launcher == "basic" else None


def tell_time(planned: Sequence[Planned], at_once: int | None, folder: Path) -> str:
    """How long the jobs will take, and where that figure comes from."""
    left = {kind_of(plan.config): 0 for plan in planned if plan.job.state != "done"}
    for plan in planned:
        if plan.job.state != "done":
            left[kind_of(plan.config)] += plan.total_steps - plan.job.step
    if not left:
        return "Nothing is left to do: the command would only write the report."
    found: dict[tuple, list[dict[str, Any]]] = {kind: [] for kind in left}
    for kind, summary in recent_runs(folder):
        if kind in found and summary.get("steps"):
            found[kind].append(summary)
    if not all(found.values()):
        return (
            "How long that takes is not known: below outputs/ and multirun/ is no finished run "
            "of the same model, data set, batch size and optimizer."
        )
    pace = {kind: usual_pace(runs) for kind, runs in found.items()}
    seconds = sum(steps * pace[kind] for kind, steps in left.items())
    places = "in all, divided by as many jobs as run at once"
    if at_once:
        seconds, places = seconds / min(at_once, len(planned)), f"with {at_once} at a time"
    told = ", ".join(f"{rate:.3g}" for rate in pace.values())
    runs = sum(len(summaries) for summaries in found.values())
    return (
        f"About {clock(seconds)} {places}, at {told} s per step as in {runs} finished "
        f"run{'s' * (runs > 1)}."
    )


def usual_pace(runs: Sequence[dict[str, Any]]) -> float:
    """Seconds per step of the run that has the middle one of all steps, sorted by pace.

    A short run, which is mostly start and end, weighs little, and one that slept changes nothing.
    """
    paces = sorted((run["seconds"] / run["steps"], run["steps"]) for run in runs)
    before = accumulate(steps for _, steps in paces)
    half = sum(steps for _, steps in paces) / 2
    return next(pace for (pace, _), steps in zip(paces, before, strict=True) if steps >= half)


def kind_of(config: Any) -> tuple:
    """The settings that decide how long a step takes, in a form that can be compared."""
    values = flatten(plain(config))
    return tuple(
        (key, str(value))
        for key, value in sorted(values.items())
        if key not in CHANGES_NO_RESULT and key.startswith(DECIDES)
    )


def recent_runs(folder: Path) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """Yield the kind and the summary of finished runs: of this sweep, else the newest of all."""
    paths = list(folder.glob("*/summary.json"))
    for pattern in ("outputs/*/summary.json", "multirun/*/*/summary.json"):
        paths += [path for path in Path().glob(pattern) if path.parent.parent != folder]
    newest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:NEWEST]
    for path in newest:
        try:
            summary = read_summary(path.parent)
            if summary.get("status") == "completed":
                yield kind_of(read_run_config(path.parent)), summary
        except (OSError, ValueError):  # a damaged run says nothing about time
            continue
