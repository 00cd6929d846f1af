"""One job of a sweep: its state, read from its folder, and the process that trains it.

That process is `python train.py ...` as anybody would type it, so a job computes the same as a
single run, and one that crashes stops neither the others nor the sweep. All launchers of Hydra call
`run_job`, and nothing here depends on the launcher.
"""

import ctypes
import json
import os
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

from common.files import write_text
from runs.config import read_run_config
from runs.folder import lock_folder, read_summary
from runs.overrides import CHANGES_NO_RESULT, differences, key_of, plain, quote
from runs.sweep.slots import SLOTS, hold_slot, slot_environment
from runs.targets import walk_targets

TRAIN = Path(__file__).resolve().parents[2] / "train.py"
RECORD = ".job.json"  # in a job's folder: what the sweep did there
STOP = ".stop"  # in a sweep's folder: the number of the signal that stops it, or 0
SWEEP_PID = "SWEEP_PID"  # in the environment of a launcher's processes: the sweep's process
FOR_THE_LAUNCHER = (SWEEP_PID, SLOTS, "HYDRA_FULL_ERROR")  # variables that no job gets
POLL = 0.2  # seconds
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class SweepStopped(Exception):
    """A search was asked to stop."""


@dataclass(frozen=True)
class Job:
    """A job and its state, read from its folder."""

    folder: Path
    state: str  # "done", "cut" (to be continued) or "new" (to be started)
    step: int  # updates of its newest checkpoint, or of the finished run
    total_steps: int | None  # updates of the whole run; None: not known
    words: list[str]  # the arguments of train.py that define it
    command: list[str]  # the arguments of train.py that do what is left, in its folder
    config: DictConfig  # without Hydra's part


def find_job(config: DictConfig, total_steps: int | None = None) -> Job:
    """Return the job of this config, for which Hydra's state is set, or refuse its folder."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    saved = [int(path.name[5:13]) for path in folder.glob("checkpoints/step_*")]
    summary = read_summary(folder)
    done = summary.get("status") == "completed"
    if saved or done:
        check_same_job(config, folder)
    sources, overrides = find_sources(hydra), list(hydra.overrides.task)
    words = [*sources, *overrides]
    command = [*words, f"hydra.run.dir={quote(folder)}"]
    if saved:
        # Where and how it runs may differ from the last time; the rest is in its folder.
        again = [word for word in overrides if key_of(word) in CHANGES_NO_RESULT]
        targets = ",".join(sorted({str(target) for _, target in walk_targets(plain(config))}))
        command = [*sources, f"resume={quote(folder)}", *again, f"allow_targets=[{targets}]"]
    state = "done" if done else "cut" if saved else "new"
    step = int(summary.get("steps", 0)) if done else max(saved, default=0)
    return Job(folder, state, step, total_steps, words, command, config)


def find_sources(hydra: HydraConf) -> list[str]:
    """Return the words of the command line by which Hydra finds configs outside conf/."""
    words = [word for word in hydra.overrides.hydra if key_of(word) == "hydra.searchpath"]
    for entry in hydra.runtime.config_sources:
        if entry.provider == "command-line":
            words = ["--config-dir", entry.path, *words]
    return words


def check_same_job(config: DictConfig, folder: Path) -> None:
    """Refuse a folder that holds a run with another config; list what differs."""
    changes = [
        f"{key}: it has {has}, asked for {asked}"
        for key, has, asked in differences(read_run_config(folder), config)
        if key not in CHANGES_NO_RESULT
    ]
    if changes:
        raise ValueError(
            f"{os.path.relpath(folder)} holds a run with another config ({'; '.join(changes)}): "
            "name another folder with hydra.sweep.dir=FOLDER, or move this one away."
        )


def run_job(config: DictConfig) -> float | None:
    """Do what is left of a job, in a separate process.

    Returns:
        The last validation top-1 in percent, the objective of a search; None where the job failed,
        has no validation split, or was stopped.

    Raises:
        SweepStopped: a search was asked to stop; with None it would continue.
    """
    hydra = HydraConfig.get()
    sweep, folder = Path(hydra.sweep.dir), Path(hydra.runtime.output_dir)
    if os.environ.get(SWEEP_PID) == str(os.getppid()):
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a launcher's process ends with the sweep
    wait_until_free(folder, sweep)
    job = find_job(config)
    runs = job.state != "done" and not read_stop(sweep)
    failed = runs and train_job(job, sweep) != 0
    if read_stop(sweep) and hydra.runtime.choices["hydra/sweeper"] != "basic":
        raise SweepStopped
    value = None if failed else read_summary(folder).get("val_top1_last")
    return None if value is None else float(value)


def read_stop(sweep: Path) -> int:
    """Return the number of the signal that asked the sweep to stop; 0: none did."""
    try:
        return int((sweep / STOP).read_text())
    except (OSError, ValueError):
        return 0


def wait_until_free(folder: Path, sweep: Path, seconds: float = 60) -> None:
    """Wait while the process of a sweep that was killed saves its run in this folder.

    After `seconds` it is another process that trains there, and the lock's error is raised.
    """
    deadline = time.monotonic() + seconds
    while not read_stop(sweep):
        try:
            with lock_folder(folder):
                return
        except ValueError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL)


def train_job(job: Job, sweep: Path) -> int:
    """Train a job in a separate process; return its exit code, below 0 for a signal's."""
    old = ("events.out.tfevents.*", "metrics.jsonl", "summary.json") if job.state == "new" else ()
    for path in [path for pattern in old for path in job.folder.glob(pattern)]:
        path.unlink()  # of a run without a checkpoint, which begins again
    shared = {key: value for key, value in os.environ.items() if key not in FOR_THE_LAUNCHER}
    with hold_slot() as (slot, lock), (job.folder / "train.log").open("ab") as log:
        record: dict[str, Any] = {"state": "running", "slot": slot, "words": job.words}
        record |= {"first_step": job.step, "log_bytes": log.tell()}
        write_text(job.folder / RECORD, json.dumps(record))
        process = subprocess.Popen(
            [sys.executable, str(TRAIN), *job.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # train.log has it
            stderr=log,
            env=shared | slot_environment(slot),
            start_new_session=True,  # Ctrl-C reaches the sweep, which signals its jobs once
            pass_fds=() if lock is None else (lock,),
            preexec_fn=lambda: prepare(slot),
        )
        try:
            code = wait(process, sweep)
        except BaseException:  # as submitit raises when a time limit is near: the job saves first
            process.terminate()
            process.wait()
            raise
    stopped = code in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    record["state"] = "completed" if code == 0 else "interrupted" if stopped else "failed"
    write_text(job.folder / RECORD, json.dumps(record | {"code": code}))
    return code


def prepare(slot: str | None) -> None:
    """Between fork and exec: end with the sweep, unblock signals, stay on a core.

    SIGUSR2 is for submitit in the parent process, and Slurm sends it to this one as well.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if slot and slot.startswith("core"):
        os.sched_setaffinity(0, {int(slot[4:])})


def wait(process: subprocess.Popen, sweep: Path) -> int:
    """Wait for a job's process; pass on the signal that stops the sweep, once."""
    sent = False
    while True:
        try:
            return process.wait(timeout=POLL)
        except subprocess.TimeoutExpired:
            if not sent and (number := read_stop(sweep)):
                process.send_signal(number)
                sent = True


def read_record(folder: Path, since: float = 0.0) -> dict[str, Any]:
    """Return what a sweep did with a job since a time; empty where it did nothing."""
    path = folder / RECORD
    try:
        return dict(json.loads(path.read_text())) if path.stat().st_mtime >= since else {}
    except (OSError, ValueError):
        return {}
