"""Slots: the core or GPU that a job of a parallel sweep trains on.

OneFlow 0.9.0 computes on one core, so a machine is used well by as many jobs as it has cores. A job
that stays on its core keeps that core's cache, and none of its threads disturbs another job. A
small model leaves most of a GPU idle, so further jobs share the GPUs evenly.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, read_write

from common.files import lock

SLOTS = "SWEEP_SLOTS"  # in the environment of the launcher's processes: all cores or GPUs
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MOST_ON_A_GPU = 100  # jobs


def list_slots(device: str) -> list[str]:
    """Return the cores ("core0", ...) for the device "cpu", the GPUs ("gpu0", ...) for "cuda"."""
    from joblib import cpu_count

    from engine.process.runtime import flow

    if device == "cpu":
        cores = sorted(os.sched_getaffinity(0))
        return [f"core{number}" for number in cores[: cpu_count()]]  # a container may have fewer
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [f"gpu{name}" for name in (names if names[0] else range(flow.cuda.device_count()))]


def prepare_joblib(config: DictConfig) -> None:
    """List the slots in the environment; set how many jobs run at once, unless the config does.

    Each process gets one job at a time: jobs that are done already would make joblib hand out the
    others in batches.
    """
    from joblib import effective_n_jobs

    from engine.process.runtime import choose_device

    launcher, slots = config.hydra.launcher, list_slots(choose_device(config.device))
    os.environ[SLOTS] = ",".join(slots)
    with read_write(config.hydra):
        launcher.n_jobs = len(slots) if launcher.n_jobs == -1 else effective_n_jobs(launcher.n_jobs)
        if launcher.batch_size == "auto":
            launcher.batch_size = "1"


@contextlib.contextmanager
def hold_slot() -> Iterator[tuple[str | None, int | None]]:
    """Hold a slot that no other sweep of this user holds; yield its name and its lock file.

    A GPU takes several jobs, in rounds. (None, None) where jobs need no slot, or no core is free.
    A process that inherits the file holds the slot too.
    """
    slots = list(filter(None, os.environ.get(SLOTS, "").split(",")))
    rounds = MOST_ON_A_GPU if slots and slots[0].startswith("gpu") else 1
    for number, slot in itertools.product(range(rounds), slots):
        name = f"sweep-{os.getuid()}-{slot.replace('/', '-')}.{number}.lock"
        with contextlib.suppress(OSError):  # another job holds it
            file = lock(Path(tempfile.gettempdir()) / name)
            break
    else:
        slot = file = None
    try:
        yield slot, file
    finally:
        if file is not None:
            os.close(file)


def slot_environment(slot: str | None) -> dict[str, str]:
    """Return the environment variables of a job in this slot."""
    gpu = {"CUDA_VISIBLE_DEVICES": slot[3:]} if slot and slot.startswith("gpu") else {}
    return dict.fromkeys(THREADS, "1") | gpu if slot else {}
