"""The lines of a sweep on the screen: one for each job that runs, and one for all together."""

import contextlib
import json
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from runs.overrides import read_overrides
from runs.sweep.job import RECORD, read_record
from runs.sweep.plan import Planned


@dataclass(frozen=True)
class View:
    """What a job is seen to do.

    Attributes:
        folder: its run folder.
        words: after `python train.py`, to repeat it alone.
        state: "waiting", "running", "completed", "failed", "interrupted", or "done" before.
        step: updates that are known to be made.
        first_step: updates that were made before this sweep.
        total_steps: of the whole run; None: not known.
        top1: its last validation accuracy in percent, if there is one.
        started: when, in seconds since 1970.
        code: exit code of its process.
        log_bytes: what its log held before.
    """

    folder: Path
    words: tuple[str, ...]
    state: str
    step: int = 0
    first_step: int = 0
    total_steps: int | None = None
    top1: float | None = None
    started: float = 0.0
    code: int = 0
    log_bytes: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.folder.name

    @property
    def reason(self) -> str:
        """How its process ended, where its log cannot say it."""
        if self.state == "running":
            return ", its process is gone"
        return f", killed by {signal.Signals(-self.code).name}" if self.code < 0 else ""


def look(sweep: Path, planned: Sequence[Planned], since: float) -> list[View]:
    """The jobs of a sweep as their folders show them.

    Args:
        sweep: its folder.
        planned: the jobs, as far as they were known at the start.
        since: what was written before this time is of an earlier sweep.
    """
    views = []
    known = {plan.job.folder for plan in planned}
    for plan in planned:
        job = plan.job
        state = "done" if job.state == "done" else "waiting"
        view = View(job.folder, job.sources + job.overrides, state, job.step, job.step)
        views.append(follow(view, since, plan.total_steps))
    for record in sorted(sweep.glob(f"*/{RECORD}")):
        folder = record.parent.absolute()
        if folder not in known and read_record(folder, since):
            words: tuple[str, ...] = ()
            with contextlib.suppress(OSError, ValueError):
                words = tuple(read_overrides(folder))
            views.append(follow(View(folder, words, "waiting"), since, None))
    return views


def follow(view: View, since: float, total_steps: int | None) -> View:
    """What a job that was seen at the start is seen to do now."""
    record = read_record(view.folder, since)
    evaluation = last_evaluation(view.folder) if record else {}
    state, first_step = record.get("state", view.state), record.get("first_step", view.first_step)
    step = max(first_step, evaluation.get("step", 0))
    return View(
        view.folder,
        view.words,
        state,
        total_steps if state == "completed" and total_steps else step,
        first_step,
        total_steps,
        evaluation.get("val/top1"),
        record.get("started", 0.0),
        record.get("code", 0),
        record.get("log_bytes", 0),
    )


def last_evaluation(folder: Path) -> dict[str, Any]:
    """The last line of metrics.jsonl that tells of the validation split."""
    try:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        with contextlib.suppress(ValueError):  # the very last may be half written
            found = json.loads(line)
            if "val/top1" in found:
                return dict(found)
    return {}


def tail(view: View, count: int = 5) -> list[str]:
    """The last lines that a job has left in its log."""
    try:
        content = (view.folder / "train.log").read_bytes()[view.log_bytes :]
    except OSError:
        return []
    return content.decode(errors="replace").splitlines()[-count:]


def line_of(view: View, now: float, width: int) -> str:
    """One line for a job that runs, of at most `width` letters: the end of its name tells most."""
    total = "?" if view.total_steps is None else view.total_steps
    figures = f"  step {view.step:>{len(str(total))}}/{total}"
    if view.top1 is not None:
        figures += f"  val {view.top1:5.2f} %"
    made = view.step - view.first_step
    if made > 0 and view.total_steps:
        seconds = (now - view.started) / made * (view.total_steps - view.step)
        figures += f"  {clock(seconds)} left"
    room = width - len(figures)
    name = view.name if len(view.name) <= room else "…" + view.name[-(room - 1) :]
    return name + figures.rjust(width - len(name))


def total_line(views: Sequence[View], seconds: float) -> str:
    """One line for all jobs together.

    Args:
        views: the jobs.
        seconds: since the sweep began.
    """
    counts = Counter(view.state for view in views)
    told = [f"{counts['completed'] + counts['done']} of {len(views)} done"]
    if counts["done"]:
        told[0] += f" ({counts['done']} before)"
    told += [f"{counts[state]} {state}" for state in ("failed", "interrupted") if counts[state]]
    told += [f"{counts['running']} running", f"{counts['waiting']} waiting"]
    made = sum(view.step - view.first_step for view in views)
    left = sum((v.total_steps or 0) - v.step for v in views if v.state in ("running", "waiting"))
    if made > 0 and left > 0:
        told.append(f"{clock(seconds / made * left)} left")
    return ", ".join(told)


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


class Screen:
    """Draws the lines anew in a terminal; elsewhere it prints one when something has happened."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.drawn = 0
        self.states: dict[Path, str] = {}
        self.told = 0.0

    def tell(self, sentence: str) -> None:
        """Print a sentence above the lines."""
        self.erase()
        print(sentence, flush=True)

    def erase(self) -> None:
        """Take the drawn lines away."""
        if self.drawn:
            print(f"\x1b[{self.drawn}F\x1b[J", end="")
        self.drawn = 0

    def show(self, views: Sequence[View], seconds: float, last: bool = False) -> None:
        """Show what is happening.

        Args:
            views: the jobs.
            seconds: since the sweep began.
            last: whether this is how it ended.
        """
        self.erase()
        for view in views:
            if self.states.get(view.folder, "waiting") != view.state:
                self.states[view.folder] = view.state
                self.tell_change(view)
        width = shutil.get_terminal_size().columns - 1 if self.terminal else 99
        running = [line_of(v, time.time(), width) for v in views if v.state == "running"]
        lines = [*running, total_line(views, seconds)]
        if last:
            print(lines[-1])
        elif self.terminal:
            print("\n".join(line[:width] for line in lines))
            self.drawn = len(lines)
        elif seconds - self.told >= 60:
            self.told = seconds
            print("\n".join(lines))
        sys.stdout.flush()

    def tell_change(self, view: View) -> None:
        """Print that a job has begun or ended."""
        if view.state == "running" and self.terminal:
            return  # it is seen below
        told = {"done": "done before", "completed": "done"}.get(view.state, view.state)
        ended = view.state == "completed" and view.top1 is not None
        top1 = f", val top-1 {view.top1:.2f} %" if ended else ""
        print(f"{view.name}: {told}{top1}")
