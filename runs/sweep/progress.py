"""The progress of a sweep on the screen: a bar for each job that runs, a line for all together."""

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from runs.folder import read_metrics
from runs.sweep.job import RECORD, Job, read_record


@dataclass(frozen=True)
class View:
    """State of a job, read from its folder."""

    folder: Path
    state: str  # "waiting", "running", "completed", "failed", "interrupted", or "done" before
    step: int = 0  # updates at the last evaluation
    total_steps: int | None = None  # updates of the whole run; None: not known
    record: dict[str, Any] = field(default_factory=dict)  # as runs.sweep.job.train_job writes it
    top1: float | None = None  # its last validation accuracy in percent

    @property
    def made(self) -> int:
        """Updates that this sweep made."""
        return self.step - int(self.record.get("first_step", self.step))

    @property
    def reason(self) -> str:
        """How its process ended, where its log cannot have it."""
        code = self.record.get("code", 0)
        if self.state == "running":
            return ", its process is gone"
        return f", killed by {signal.Signals(-code).name}" if code < 0 else ""

    def tail(self, count: int = 5) -> list[str]:
        """Return the last lines that it wrote to its log."""
        content = (self.folder / "train.log").read_bytes()[self.record["log_bytes"] :]
        return content.decode(errors="replace").splitlines()[-count:]


def read_views(sweep: Path, jobs: Sequence[Job], since: float) -> list[View]:
    """Return the state of each job in a sweep's folder.

    `jobs` were known at the start; a search makes others. Records older than `since` are of an
    earlier sweep.
    """
    views = [
        View(job.folder, "done" if job.state == "done" else "waiting", job.step, job.total_steps)
        for job in jobs
    ]
    folders = [path.parent.absolute() for path in sorted(sweep.glob(f"*/{RECORD}"))]
    others = [View(folder, "") for folder in folders if folder not in {v.folder for v in views}]
    return [view for view in (read_view(v, since) for v in (*views, *others)) if view.state]


def read_view(view: View, since: float) -> View:
    """Return the state of a job now, from its state at the start."""
    record = read_record(view.folder, since)
    if not record:
        return view
    evaluations: dict[int, float] = {}
    with contextlib.suppress(OSError, ValueError):  # there is none yet, or half a line
        evaluations = read_metrics(view.folder, "max")
    last, state, total = max(evaluations, default=0), record["state"], view.total_steps
    step = total if state == "completed" and total else max(last, record["first_step"])
    return View(view.folder, state, step, total, record, evaluations.get(last))


def total_line(views: Sequence[View], seconds: float) -> str:
    """Return the line for all jobs together, `seconds` after the sweep began."""
    counts = Counter(view.state for view in views)
    before = f" ({counts['done']} before)" if counts["done"] else ""
    parts = [f"{counts['completed'] + counts['done']} of {len(views)} done{before}"]
    parts += [f"{counts[state]} {state}" for state in ("failed", "interrupted") if counts[state]]
    parts += [f"{counts['running']} running", f"{counts['waiting']} waiting"]
    made = sum(view.made for view in views)
    left = sum((v.total_steps or 0) - v.step for v in views if v.state in ("running", "waiting"))
    if made > 0 and left > 0:
        parts.append(f"{tqdm.format_interval(seconds / made * left)} left")
    return ", ".join(parts)


class Screen:
    """Bars in a terminal; elsewhere a line when a job's state changes, and one each minute."""

    def __init__(self) -> None:
        self.total = open_bar(bar_format="{desc}")
        self.bars: dict[Path, tqdm] = {}
        self.states: dict[Path, str] = {}
        self.last_printed = 0.0

    def show(self, views: Sequence[View], seconds: float) -> None:
        """Show the jobs, `seconds` after the sweep began."""
        for view in views:
            if self.states.get(view.folder, "waiting") != view.state:
                self.states[view.folder] = view.state
                self.show_change(view)
            if (bar := self.bars.get(view.folder)) is not None:
                bar.n = view.step
                bar.set_postfix_str("" if view.top1 is None else f"val {view.top1:.2f} %")
        line = total_line(views, seconds)
        self.total.set_description_str(line)
        if self.total.disable and seconds - self.last_printed >= 60:
            self.last_printed = seconds
            print(line, flush=True)

    def show_change(self, view: View) -> None:
        """Show that a job has started or ended."""
        if view.state == "running":
            name, first = view.folder.name[-50:], view.step - view.made
            bar = open_bar(desc=name, total=view.total_steps, initial=first, unit="step")
            self.bars[view.folder] = bar
            if not bar.disable:
                return  # the bar shows it
        elif view.folder in self.bars:
            self.bars.pop(view.folder).close()
        word = {"done": "done before", "completed": "done"}.get(view.state, view.state)
        if view.state == "completed" and view.top1 is not None:
            word += f", val top-1 {view.top1:.2f} %"
        self.print(f"{view.folder.name}: {word}")

    def print(self, line: str) -> None:
        """Print a line above the bars."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Remove the bars."""
        for bar in (*self.bars.values(), self.total):
            bar.close()


def open_bar(**settings: Any) -> tqdm:
    """Return a bar that is shown in a terminal only, and removed when it is closed."""
    return tqdm(**settings, file=sys.stdout, disable=None, leave=False, dynamic_ncols=True)
