"""One job of a sweep. Its folder tells what is left to do; a process of its own does it.

That process is `python train.py ...` as anybody would type it, so a job computes the same as a
single run, and one that crashes loses neither the others nor the sweep. All launchers of Hydra call
`run_job`, and nothing here depends on which one it is.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from runs.config import read_run_config
from runs.folder import read_summary
from runs.overrides import CHANGES_NO_RESULT, differences, key_of, plain, quote
from runs.sweep.slots import PLACES, cores_of, environment_of, own_place
from runs.targets import walk_targets

TRAIN = Path(__file__).resolve().parents[2] / "train.py"
RECORD = ".job.json"  # in a job's folder: what the sweep did there
STOP = ".stop"  # in a sweep's folder: the number of the signal that stops it, or 0
SWEEP_PID = "SWEEP_PID"  # in the environment of a launcher's processes: the sweep's own
OPTION = "command-line"  # so Hydra calls a folder that --config-dir names
POLL = 0.2  # seconds
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class SweepStopped(Exception):
    """A search has been asked to stop."""


@dataclass(frozen=True)
class Job:
    """A job and where it stands.

    Attributes:
        folder: its run folder.
        overrides: all that define it, as on a command line.
        state: "done", "cut" (to be continued) or "new" (to be begun).
        step: updates of its newest checkpoint, or of the finished run.
        targets: the code that the command's own config names.
        sources: what the command line says of further folders with configs.
    """

    folder: Path
    overrides: tuple[str, ...]
    state: str
    step: int
    targets: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """What trains the job in its folder."""
        if self.state == "cut":
            # Where and how it runs may differ from the last time; the rest its folder knows.
            words = [word for word in self.overrides if key_of(word) in CHANGES_NO_RESULT]
            allowed = f"allow_targets=[{','.join(self.targets)}]"
            return [*self.sources, f"resume={quote(self.folder)}", *words, allowed]
        return [*self.sources, *self.overrides, f"hydra.run.dir={quote(self.folder)}"]


def find_job(config: DictConfig) -> Job:
    """The job of this config, of which Hydra's own part has been set.

    Raises:
        ValueError: in its folder lies a run with another config, or one that cannot be read.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    steps = [int(path.name[5:13]) for path in folder.glob("checkpoints/step_*")]
    summary = read_summary(folder)
    done = summary.get("status") == "completed"
    if steps or done or (folder / ".hydra/config.yaml").is_file():
        check_same_job(config, folder, must_be_sound=bool(steps) or done)
    return Job(
        folder,
        tuple(hydra.overrides.task),
        "done" if done else "cut" if steps else "new",
        int(summary.get("steps", 0)) if done else max(steps, default=0),
        tuple(sorted({str(target) for _, target in walk_targets(plain(config))})),
        find_sources(hydra),
    )


def find_sources(hydra: HydraConf) -> tuple[str, ...]:
    """The words of the command line by which Hydra finds configs outside conf/."""
    folders = [place.path for place in hydra.runtime.config_sources if place.provider == OPTION]
    options = [word for folder in folders for word in ("--config-dir", folder)]
    paths = [word for word in hydra.overrides.hydra if key_of(word) == "hydra.searchpath"]
    return (*options, *paths)


def check_same_job(config: DictConfig, folder: Path, must_be_sound: bool) -> None:
    """Refuse a folder in which another config has been at work.

    Raises:
        ValueError: lists the keys, what the folder's run has and what was asked for.
    """
    try:
        before = read_run_config(folder)
    except (ValueError, OSError):
        if must_be_sound:
            raise
        return  # its process was killed before it had begun
    told = [
        f"{key}: it has {has}, asked for {asked}"
        for key, has, asked in differences(before, config)
        if key not in CHANGES_NO_RESULT
    ]
    if told:
        raise ValueError(
            f"{os.path.relpath(folder)} holds a run with another config ({'; '.join(told)}): "
            "name another folder with hydra.sweep.dir=FOLDER, or move this one away."
        )


def run_job(config: DictConfig) -> float | None:
    """Do what is left of a job, in a process of its own.

    Returns:
        The last validation top-1 in percent, the objective of a search; None where the job failed,
        has no validation split, or was stopped.

    Raises:
        SweepStopped: a search was asked to stop, which would go on with None.
        ValueError: its folder holds another run, or another process trains there.
    """
    hydra = HydraConfig.get()
    sweep, folder = Path(hydra.sweep.dir), Path(hydra.runtime.output_dir)
    if os.environ.get(SWEEP_PID) == str(os.getppid()):
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a launcher's process ends with the sweep
    wait_until_free(folder, sweep)
    job = find_job(config)
    failed = False
    if job.state != "done" and not read_stop(sweep):
        failed = train_apart(job, sweep) != 0
    if read_stop(sweep) and hydra.runtime.choices["hydra/sweeper"] != "basic":
        raise SweepStopped
    value = None if failed else read_summary(folder).get("val_top1_last")
    return None if value is None else float(value)


def read_stop(sweep: Path) -> int:
    """The number of the signal that asked the sweep to stop; 0: none did."""
    try:
        return int((sweep / STOP).read_text())
    except (OSError, ValueError):
        return 0


def wait_until_free(folder: Path, sweep: Path, seconds: float = 60) -> None:
    """Wait while the process of a sweep that was killed saves what it has in this folder.

    Raises:
        ValueError: that takes too long: somebody else trains there.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(FileNotFoundError), (folder / ".lock").open("rb+") as file:
        while not read_stop(sweep):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() > deadline:
                raise ValueError(f"Another process is training in {folder}: wait for it.")
            time.sleep(POLL)


def train_apart(job: Job, sweep: Path) -> int:
    """Train a job in a process of its own; returns its exit code, below 0 for a signal's."""
    if job.state == "new":
        clear(job.folder)
    with own_place() as (place, lock), (job.folder / "train.log").open("ab") as log:
        record: dict[str, Any] = {"place": place, "first_step": job.step, "log_bytes": log.tell()}
        record |= {"state": "running", "started": time.time()}
        write_record(job.folder, record)
        process = subprocess.Popen(
            [sys.executable, str(TRAIN), *job.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # train.log has it
            stderr=log,
            env=environment(place),
            start_new_session=True,  # Ctrl-C goes to the sweep, which tells its jobs once
            pass_fds=() if lock is None else (lock,),
            preexec_fn=lambda: prepare(place),
        )
        try:
            code = wait(process, sweep)
        except BaseException:  # as submitit raises when a time limit is near: the job saves first
            process.terminate()
            process.wait()
            raise
    stopped = code in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    record["state"] = "completed" if code == 0 else "interrupted" if stopped else "failed"
    write_record(job.folder, record | {"code": code, "ended": time.time()})
    return code


def environment(place: str | None) -> dict[str, str]:
    """The environment of a job: the sweep's, without what the sweep says to its launcher."""
    ours = (SWEEP_PID, PLACES, "HYDRA_FULL_ERROR")
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return kept | environment_of(place)


def prepare(place: str | None) -> None:
    """Between fork and exec: end with the sweep, hear signals again, stay on a core.

    SIGUSR2 is for submitit in the process above, and Slurm sends it to this one as well.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    cores = cores_of(place)
    if cores:
        os.sched_setaffinity(0, cores)


def wait(process: subprocess.Popen, sweep: Path) -> int:
    """Wait for a job's process; when the sweep stops it is told once, saves and ends."""
    told = False
    while True:
        try:
            return process.wait(timeout=POLL)
        except subprocess.TimeoutExpired:
            if not told and (number := read_stop(sweep)):
                process.send_signal(number)
                told = True


def clear(folder: Path) -> None:
    """Remove the records of a run that never came to a checkpoint, before it begins again."""
    for pattern in ("events.out.tfevents.*", "metrics.jsonl", "summary.json"):
        for path in folder.glob(pattern):
            path.unlink()


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Keep what the sweep did with a job, in one move."""
    fresh = folder / f"{RECORD}.tmp"
    fresh.write_text(json.dumps(record))
    fresh.replace(folder / RECORD)


def read_record(folder: Path, since: float) -> dict[str, Any]:
    """What a sweep that began at a time did with a job; empty where it did nothing."""
    try:
        if (folder / RECORD).stat().st_mtime < since:
            return {}
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and "state" in found else {}


def spell(words: tuple[str, ...]) -> str:
    """A training's command as a shell reads it."""
    return shlex.join(["python", os.path.relpath(TRAIN), *words])
