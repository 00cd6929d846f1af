"""Which core or GPU a job of a parallel sweep has for itself.

OneFlow 0.9.0 computes on one core, so a machine is used well by as many jobs as it has cores. A job
that stays on its core keeps that core's cache, and none of its threads disturbs another job.

A small net leaves most of a GPU idle. Where more jobs are asked for than there are GPUs, each GPU
has as many places as it takes: `gpu0`, `gpu1`, `gpu0.2`, `gpu1.2`, ...
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from omegaconf import DictConfig, read_write

PLACES = "SWEEP_PLACES"  # in the environment of the launcher's processes: what there is
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def list_places(device: str, jobs: int = 1) -> list[str]:
    """The GPUs ("gpu0", ...) on which so many jobs would train, else the cores ("core0", ...).

    Job i is on GPU i mod n: the second places of the GPUs come after all of their first ones.
    """
    from joblib import cpu_count

    from engine.process.runtime import choose_device, flow

    if choose_device(device) == "cpu":
        cores = sorted(os.sched_getaffinity(0))
        return [f"core{number}" for number in cores[: cpu_count()]]  # a container may have fewer
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    every = [str(number) for number in range(flow.cuda.device_count())]
    gpus = [f"gpu{name}" for name in (names.split(",") if names else every)]
    further = range(2, 1 + ceil(jobs / len(gpus)))
    return gpus + [f"{gpu}.{number}" for number in further for gpu in gpus]


def prepare_joblib(config: DictConfig) -> None:
    """Set what the launcher leaves open, wherever it was chosen: as many jobs as there are places.

    Its own default, -1, is one for each core, also where jobs train on GPUs. And one job at a time
    for each process: else jobs that turn out to be done make joblib hand out the others in heaps.
    """
    launcher = config.hydra.launcher
    with read_write(config.hydra):
        if launcher.n_jobs == -1:
            launcher.n_jobs = len(list_places(config.device))
        if launcher.batch_size == "auto":
            launcher.batch_size = "1"


@contextlib.contextmanager
def own_place() -> Iterator[tuple[str | None, int | None]]:
    """Hold a place that no other sweep of this user holds: its name, and the file that locks it.

    (None, None) where jobs need no place, or none is free: the system then finds one. A process
    that inherits the file holds the place too.
    """
    for name in filter(None, os.environ.get(PLACES, "").split(",")):
        path = Path(tempfile.gettempdir()) / f"sweep-{os.getuid()}-{name.replace('/', '-')}.lock"
        file = None
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another job's
            if file is not None:
                os.close(file)
            continue
        try:
            yield name, file
        finally:
            os.close(file)
        return
    yield None, None


def environment_of(place: str | None) -> dict[str, str]:
    """What a job that has a place finds in its environment."""
    if place is None:
        return {}
    gpu = {"CUDA_VISIBLE_DEVICES": place[3:].split(".")[0]} if place.startswith("gpu") else {}
    return dict.fromkeys(THREADS, "1") | gpu


def cores_of(place: str | None) -> set[int] | None:
    """The cores on which a job with this place stays; None: on any."""
    return {int(place[4:])} if place and place.startswith("core") else None
