"""A sweep from start to end: plan, signals, progress, report, exit code.

Hydra's sweeper makes the jobs and its launcher calls `runs.sweep.job.run_job` for each. The sweep
and its jobs communicate through files: a launcher may run the jobs in other processes, or on other
machines that share the folder.
"""

import contextlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from common.files import lock
from runs.command_line import MISTAKES, end_unread, explain
from runs.sweep.estimate import list_jobs
from runs.sweep.job import STOP, SWEEP_PID, TRAIN, Job, SweepStopped, read_stop, run_job
from runs.sweep.names import add_sweep_settings
from runs.sweep.plan import plan_jobs
from runs.sweep.progress import Screen, read_views, total_line
from runs.sweep.search import check_search, describe_best, prepare_search
from runs.sweep.slots import prepare_joblib

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO = 1.0  # seconds in which another signal is the same request (`timeout` sends two)
INTERVAL = 0.5  # seconds between two looks at the jobs


def run_sweep(
    start: Callable[[Callable[[DictConfig], Any]], None],
    run: Callable[[DictConfig], Any] = run_job,
) -> None:
    """Run a sweep to its exit code; `start` makes Hydra's launcher call `run` for each job."""
    sys.argv[1:] = add_sweep_settings(sys.argv[1:])
    code = 0
    try:
        with contextlib.suppress(SweepStopped):
            start(run)
    finally:
        if Sweep.current:
            code = Sweep.current.end()
            Sweep.current = None
    if code:
        sys.exit(code)


class SweepCallback(Callback):
    """Hydra's callback. Launchers pickle it for other processes, so it has no state."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs, then start to watch them; or end the program with a sentence."""
        HydraConfig.instance().set_config(config)
        # Hydra turns an exception of a callback into a warning, all but SystemExit.
        try:
            begin(config)
        except BrokenPipeError:
            end_unread()
        except MISTAKES as error:
            Sweep.current = None
            sys.exit(f"error: {explain(error)}")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the result of a search."""
        if Sweep.current and HydraConfig.get().runtime.choices["hydra/sweeper"] == "optuna":
            Sweep.current.screen.print(describe_best(config))


def begin(config: DictConfig) -> None:
    """Check all jobs and start to watch them; with `dry_run=true` list them and end."""
    choices, folder = HydraConfig.get().runtime.choices, Path(config.hydra.sweep.dir)
    side_by_side = choices["hydra/launcher"] == "joblib"
    searches = choices["hydra/sweeper"] == "optuna"
    if side_by_side:
        prepare_joblib(config)
    if searches:
        check_search(config)
    jobs = plan_jobs(config)
    if config.dry_run:
        print("\n".join(list_jobs(config, jobs, folder)))
        sys.exit(0)
    if side_by_side:
        shield_processes()
    Sweep.current = Sweep(folder, jobs)
    if searches:
        prepare_search(config)


class Sweep:
    """A sweep that runs, the only one in its folder: it handles signals and shows the jobs."""

    current: ClassVar["Sweep | None"] = None

    def __init__(self, folder: Path, jobs: list[Job]) -> None:
        self.folder, self.jobs = folder, jobs
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.file = lock(folder / STOP)
        except BlockingIOError as error:
            text = f"Another sweep is running in {os.path.relpath(folder)}: wait for it."
            raise ValueError(text) from error
        (folder / STOP).write_text("0")
        os.environ[SWEEP_PID] = str(os.getpid())
        self.since = (folder / STOP).stat().st_mtime  # by the clock that stamps the jobs' files
        self.started = time.time()
        self.asked = 0.0  # when it was asked to stop
        self.screen = Screen()
        self.former = {number: signal.signal(number, self.stop) for number in SIGNALS}
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Ask the jobs to save and end; the second time, end at once."""
        if time.time() - self.asked < ECHO:
            return
        if self.asked:
            os._exit(128 + number)
        self.asked = time.time()
        (self.folder / STOP).write_text(str(int(number)))

    def watch(self) -> None:
        """Show the jobs until the sweep is over."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        notes = ["Stopping: the running jobs save their state ..."]
        while not self.over.wait(INTERVAL):
            if self.asked and notes:
                self.screen.print(notes.pop())
            views = read_views(self.folder, self.jobs, self.since)
            self.screen.show(views, time.time() - self.started)

    def end(self) -> int:
        """Print how the jobs ended and write the report; return the exit code of the program."""
        self.over.set()
        self.watcher.join()
        for number, handler in self.former.items():
            signal.signal(number, handler)
        stopped, seconds = read_stop(self.folder), time.time() - self.started
        views = read_views(self.folder, self.jobs, self.since)
        self.screen.show(views, seconds)
        self.screen.close()
        print(total_line(views, seconds))
        fine = {"completed", "done", "waiting"} | ({"interrupted"} if stopped else set())
        failed = [view for view in views if view.state not in fine]
        for view in failed:
            print(f"\nfailed: {view.folder.name}{view.reason}")
            print("".join(f"    {line}\n" for line in view.tail()), end="")
            words = ["python", os.path.relpath(TRAIN), *view.record["words"]]
            print(f"  alone: {shlex.join(words)}")
        if stopped:
            print("\nStopped. The same command continues from here.")
        else:
            print(f"\neverything is in {os.path.relpath(self.folder)}\n{report(self.folder)}")
        os.close(self.file)
        return 128 + stopped if stopped else 1 if failed else 0


def report(folder: Path) -> str:
    """Compare the runs of a sweep; a failure of the report must not hide the sweep's result."""
    try:
        from runs.comparison.report import write_report

        return write_report([folder], folder)
    except Exception as error:
        return f"There is no report: {type(error).__name__}: {error}"


def shield_processes() -> None:
    """Block signals in the processes that joblib will start: Ctrl-C would end them.

    They inherit the mask from this thread; the thread that watches the jobs takes the signals.
    Two helper processes of joblib are started beforehand, since starting them unblocks signals.
    """
    import multiprocessing.resource_tracker

    import joblib.externals.loky.backend.resource_tracker

    multiprocessing.resource_tracker.ensure_running()
    joblib.externals.loky.backend.resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
