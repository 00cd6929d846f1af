"""A sweep from its first line to its last: plan, signals, lines while it runs, report, exit code.

Hydra's sweeper makes the jobs and its launcher calls `runs.sweep.job.run_job` for each. What
they tell each other goes through files: a launcher may put the jobs into other processes, or on
other machines that share the folder.
"""

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from runs.sweep.estimate import jobs_at_once, list_jobs
from runs.sweep.job import STOP, SWEEP_PID, SweepStopped, read_stop, run_job, spell
from runs.sweep.names import add_sweep_settings
from runs.sweep.plan import Planned, plan_jobs
from runs.sweep.progress import Screen, View, look, tail
from runs.sweep.search import best_of_search, check_search, prepare_search
from runs.sweep.slots import PLACES, list_places, prepare_joblib

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO = 1.0  # seconds in which another signal is the same request (`timeout` sends two)
LOOK = 0.5  # seconds between two looks at the jobs


def run_sweep(
    start: Callable[[Callable[[DictConfig], Any]], None],
    run: Callable[[DictConfig], Any] = run_job,
) -> None:
    """Run a sweep from its command line to its exit code.

    Args:
        start: starts Hydra with the function that its launcher calls for each job.
        run: that function.
    """
    sys.argv[1:] = add_sweep_settings(sys.argv[1:])
    with ended_sweep():
        start(run)


class SweepCallback(Callback):
    """Hydra's callback. Launchers hand it to other processes, so it holds nothing."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs, then start to watch them; or end the program here with a sentence."""
        from runs.command_line import MISTAKES, end_unread, explain

        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir)
        # Hydra turns an exception of a callback into a warning, all but SystemExit.
        try:
            choices = HydraConfig.get().runtime.choices
            side_by_side = choices["hydra/launcher"] == "joblib"
            searches = choices["hydra/sweeper"] == "optuna"
            if side_by_side:
                prepare_joblib(config)
            if searches:
                check_search(config)
            planned = plan_jobs(config)
            if config.dry_run:
                print("\n".join(list_jobs(config, planned, folder)))
                sys.exit(0)
            if side_by_side:
                places = list_places(config.device, jobs_at_once(config) or 1)
                os.environ[PLACES] = ",".join(places)
                shield_processes()
            Sweep.current = Sweep(folder, planned)
            if searches:
                prepare_search(config)
        except BrokenPipeError:
            end_unread()
        except MISTAKES as error:
            Sweep.current = None
            sys.exit(f"error: {explain(error)}")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell what a search has found."""
        if Sweep.current and HydraConfig.get().runtime.choices["hydra/sweeper"] == "optuna":
            Sweep.current.screen.tell(best_of_search(config))


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
        self.file = hold(folder / STOP)
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
        """Tell the jobs to save and end; the second time, end at once."""
        if self.asked and time.time() - self.asked < ECHO:
            return
        if self.asked:
            os._exit(128 + number)
        self.asked = time.time()
        (self.folder / STOP).write_text(str(int(number)))

    def watch(self) -> None:
        """Show the jobs until the sweep is over."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        told = False
        while not self.over.wait(LOOK):
            if self.asked and not told:
                self.screen.tell("Stopping: the jobs that run save what they have ...")
                told = True
            self.screen.show(self.look(), time.time() - self.started)

    def look(self) -> list[View]:
        """What the jobs are doing now."""
        return look(self.folder, self.planned, self.since)

    def end(self) -> int:
        """Tell how the jobs ended and write the report; returns the exit code of the program."""
        self.over.set()
        self.watcher.join()
        for number, handler in self.former.items():
            signal.signal(number, handler)
        views, stopped = self.look(), read_stop(self.folder)
        self.screen.show(views, time.time() - self.started, last=True)
        fine = {"completed", "done", "waiting"} | ({"interrupted"} if stopped else set())
        failed = [view for view in views if view.state not in fine]
        for view in failed:
            print(f"\nfailed: {view.name}{view.reason}")
            print("".join(f"    {line}\n" for line in tail(view)), end="")
            print(f"  alone: {spell(view.words)}")
        if stopped:
            print("\nStopped. The same command goes on where this one was.")
        else:
            print(f"\neverything is in {os.path.relpath(self.folder)}\n{report(self.folder)}")
        os.close(self.file)
        return 128 + stopped if stopped else 1 if failed else 0


def report(folder: Path) -> str:
    """Compare the runs of a sweep. That this does not work changes nothing about the runs."""
    try:
        from runs.comparison.report import write_report

        return str(write_report([folder], folder))
    except Exception as error:  # whatever happens there, the sweep's own result is told
        return f"There is no report: {type(error).__name__}: {error}"


def shield_processes() -> None:
    """Block signals in the processes that joblib will start: Ctrl-C goes to them too, and they end.

    They inherit it from this thread. The thread that watches the jobs takes the signals instead,
    and Python then calls their handlers as ever. Two helpers of joblib's are started beforehand,
    since starting them would let the signals through again.
    """
    import multiprocessing.resource_tracker

    import joblib.externals.loky.backend.resource_tracker

    multiprocessing.resource_tracker.ensure_running()
    joblib.externals.loky.backend.resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def hold(path: Path) -> int:
    """Write the file of a sweep that is not stopped, and lock it as long as this process lives.

    Raises:
        ValueError: another process holds it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        place = os.path.relpath(path.parent)
        raise ValueError(f"Another sweep is running in {place}: wait for it.") from error
    path.write_text("0")
    return file


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
