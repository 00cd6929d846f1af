"""`dry_run=true`: the list of a sweep's jobs, and how long they will take."""

import contextlib
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from runs.config import read_run_config
from runs.folder import read_summary
from runs.overrides import CHANGES_NO_RESULT, flatten, plain
from runs.sweep.job import Job

# The settings that decide how long a step takes.
DECIDE = ("model", "dataset", "augment", "optimizer._target_", "batch_size", "trainer.eval_every")
NEWEST = 100  # so many runs are read: each takes some milliseconds
CUT, NEW = "to continue from step {0.step} of {0.total_steps}", "to run, {0.total_steps} steps"
STATES = {"done": "done", "cut": CUT, "new": NEW}


def list_jobs(config: DictConfig, jobs: Sequence[Job], folder: Path) -> list[str]:
    """Return the lines of a dry run of these jobs; a search has none, it makes them as it goes."""
    if not jobs:
        trials = config.hydra.sweeper.n_trials
        return [f"A search makes its jobs as it goes ({trials} trials). Nothing was started."]
    launcher = config.hydra.runtime.choices["hydra/launcher"]  # None: a cluster decides it
    at_once = {"basic": 1, "joblib": config.hydra.launcher.get("n_jobs")}.get(launcher)
    width = max(len(job.folder.name) for job in jobs)
    counts = Counter(job.state for job in jobs)
    return [
        *(f"{job.folder.name:<{width}}  " + STATES[job.state].format(job) for job in jobs),
        "",
        f"{len(jobs)} jobs in {os.path.relpath(folder)}: {counts['done']} done, "
        f"{counts['cut']} to continue, {counts['new']} to run",
        estimate_time(jobs, at_once, folder),
        "Nothing was started.",
    ]


def estimate_time(jobs: Sequence[Job], at_once: int | None, folder: Path) -> str:
    """Return how long the jobs will take, and which runs this estimate comes from."""
    steps = Counter[tuple]()  # that are left, of each kind
    for job in jobs:
        if job.state != "done":
            steps[kind_of(job.config)] += job.total_steps - job.step
    if not steps:
        return "Nothing is left to do: the command would only write the report."
    recent = list(recent_runs(folder))
    runs = {kind: [found for other, found in recent if other == kind] for kind in steps}
    if not all(runs.values()):
        return (
            "How long that takes is not known: below outputs/ and multirun/ is no finished run "
            "of the same model, data set, batch size and optimizer."
        )
    pace = {kind: usual_pace(found) for kind, found in runs.items()}
    seconds = sum(steps[kind] * pace[kind] for kind in steps)
    share = "in all, divided by as many jobs as run at once"
    if at_once:
        seconds, share = seconds / min(at_once, len(jobs)), f"with {at_once} at a time"
    paces = ", ".join(f"{value:.3g}" for value in pace.values())
    count = sum(map(len, runs.values()))
    source = f"{count} finished run{'s' * (count > 1)}"
    return f"About {tqdm.format_interval(seconds)} {share}, at {paces} s per step as in {source}."


def usual_pace(runs: Sequence[tuple[float, int]]) -> float:
    """Return the median over all steps; each run is (seconds per step, steps)."""
    ranked = sorted(runs)
    made = list(accumulate(steps for _, steps in ranked))
    return ranked[bisect_left(made, made[-1] / 2)][0]


def kind_of(config: Any) -> tuple:
    """Return the settings that decide how long a step takes, in a form that can be compared."""
    return tuple(
        (key, str(value))
        for key, value in sorted(flatten(plain(config)).items())
        if key not in CHANGES_NO_RESULT and key.startswith(DECIDE)
    )


def recent_runs(folder: Path) -> Iterator[tuple[tuple, tuple[float, int]]]:
    """Yield (kind, (seconds per step, steps)) of the newest finished runs, also of other sweeps."""
    places = (folder.absolute(), "*"), (Path.cwd(), "outputs/*"), (Path.cwd(), "multirun/*/*")
    paths = {path for place, runs in places for path in place.glob(f"{runs}/summary.json")}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:NEWEST]:
        with contextlib.suppress(OSError, ValueError):  # a damaged run has no pace
            summary = read_summary(path.parent)
            if summary.get("status") == "completed" and summary.get("steps"):
                pace = summary["seconds"] / summary["steps"]
                yield kind_of(read_run_config(path.parent)), (pace, summary["steps"])
