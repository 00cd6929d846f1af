"""A sweep from its first line to its last: plan, signals, lines while it runs, report, exit code.

Hydra's sweeper makes the jobs and its launcher calls `scripts.sweep_job.run_job` for each. What
they tell each other goes through files: a launcher may put the jobs into other processes, or on
other machines that share the folder.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from scripts.sweep_job import STOP, SWEEP_PID, SweepStopped, read_stop, spell
from scripts.sweep_lines import Screen, View, look, tail
from scripts.sweep_places import VARIABLE, list_places
from scripts.sweep_plan import Planned, plan_jobs

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SweepCallback(Callback):
    """Hydra's callback. Launchers hand it to other processes, so it holds nothing."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs, then start to watch them; or end the program here with a sentence."""
        from scripts.command_line import MISTAKES, explain

        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir)
        # Hydra turns an exception of a callback into a warning, all but SystemExit.
        try:
            planned = plan_jobs(config)
            if config.dry_run:
                list_jobs(planned, folder)
                sys.exit(0)
            if HydraConfig.get().runtime.choices["hydra/launcher"] == "joblib":
                os.environ[VARIABLE] = ",".join(list_places(config.device))
                start_trackers()
            Sweep.current = Sweep(folder, planned)
        except MISTAKES as error:
            sys.exit(f"error: {explain(error)}")


class Sweep:
    """A sweep that runs: it listens to signals, and shows what the jobs do.

    Args:
        folder: of the sweep.
        planned: its jobs, as far as they are known at the start.
    """

    current: ClassVar["Sweep | None"] = None

    def __init__(self, folder: Path, planned: list[Planned]) -> None:
        self.folder, self.planned = folder, planned
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP).write_text("0")
        os.environ[SWEEP_PID] = str(os.getpid())
        self.since = (folder / STOP).stat().st_mtime  # by the clock that stamps the jobs' files
        self.started = time.time()
        self.signals = 0
        self.screen = Screen()
        for number in SIGNALS:
            signal.signal(number, self.stop)
        # A launcher's processes inherit this: Ctrl-C in a terminal must not end them. The watching
        # thread takes the signal instead, and the handler above is then called as ever.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Tell the jobs to save and end; the second time, end at once."""
        self.signals += 1
        if self.signals > 1:
            os._exit(128 + number)
        (self.folder / STOP).write_text(str(int(number)))
        self.screen.tell("Stopping: the jobs that run save what they have ...")

    def watch(self) -> None:
        """Show the jobs until the sweep is over."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        while not self.over.wait(self.screen.pause):
            self.screen.show(self.look(), time.time() - self.started)

    def look(self) -> list[View]:
        """What the jobs are doing now."""
        return look(self.folder, self.planned, self.since)

    def end(self) -> int:
        """Tell how the jobs ended and write the report; returns the exit code of the program."""
        self.over.set()
        self.watcher.join()
        views = self.look()
        self.screen.show(views, time.time() - self.started, last=True)
        failed = [view for view in views if view.state in ("failed", "running")]
        for view in failed:
            print(f"\nfailed: {view.name}{view.reason}")
            print("".join(f"    {line}\n" for line in tail(view)), end="")
            print(f"  repeat it alone: {spell(*view.overrides)}")
        if number := read_stop(self.folder):
            print("\nStopped. The same command goes on where it was.")
            return 128 + number
        print(f"\neverything is in {os.path.relpath(self.folder)}")
        self.report()
        return 1 if failed else 0

    def report(self) -> None:
        """Compare the runs. A report that cannot be written changes nothing about the runs."""
        try:
            from scripts.compare import write_report

            print(write_report([self.folder], self.folder))
        except Exception as error:
            print(f"no report: {type(error).__name__}: {error}")


def start_trackers() -> None:
    """Start the helpers of joblib's processes; later they would let signals through again."""
    import multiprocessing.resource_tracker

    import joblib.externals.loky.backend.resource_tracker

    multiprocessing.resource_tracker.ensure_running()
    joblib.externals.loky.backend.resource_tracker.ensure_running()


def list_jobs(planned: list[Planned], folder: Path) -> None:
    """Print what a sweep would do."""
    for plan in planned:
        job, total = plan.job, plan.total_steps
        told = {
            "done": "done",
            "cut": f"to continue from step {job.step} of {total}",
            "new": f"to run, {total} steps",
        }[job.state]
        print(f"{job.folder.name}: {told}")


@contextlib.contextmanager
def ended_sweep() -> Iterator[None]:
    """End the sweep that Hydra runs within it, however that ends, and the program with its code."""
    code = 0
    try:
        with contextlib.suppress(SweepStopped):
            yield
    finally:
        if Sweep.current:
            code = Sweep.current.end()
            Sweep.current = None
    if code:
        sys.exit(code)
