"""What must be set before OneFlow 0.9.0 is imported, and which device it may use.

Importing this module imports OneFlow, prepared: quiet at start-up, Ctrl-C is an interrupt and not a
segmentation fault, memory stays flat under a schedule, and matrix products use the AVX2 kernels.
Every program of this project imports `engine` before anything that imports OneFlow.
"""

import contextlib
import ctypes
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

# OneFlow brings numpy with it. Loaded first, numpy picks its own kernels, whatever is set below.
import numpy  # noqa: F401

from engine.process.machine import cuda_problem, has_avx2, import_advice

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "GLOG_minloglevel": "3",  # no start-up warnings; fatal errors still say why
    "ONEFLOW_VM_COMPUTE_ON_WORKER_THREAD": "0",  # else a second core spins, for nothing
    # Without it a cache keyed by the learning rate grows with every step (by 115 MB in all).
    "ONEFLOW_EAGER_TENSOR_INFER_CACHE_SIZE": "1024",
}

# A launcher (python -m oneflow.distributed.launch) sets these for each process that it starts.
TOLD = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK")
PATIENCE = 600.0  # seconds in which rank 0 has to come: on another machine someone may be typing


@contextlib.contextmanager
def blas_kernel_chosen() -> Iterator[None]:
    """Within it, a library that is loaded makes its OpenBLAS use the AVX2 kernels.

    The OpenBLAS inside OneFlow has no kernel newer than "Haswell" and "Zen", and takes an SSE one
    for every processor that it does not know by name. So "Haswell" is never a loss where AVX2 is,
    and 2 to 3 times faster where the name is unknown. A value that the user has set is kept, and
    ours is taken back afterwards: child processes decide for themselves.
    """
    if "OPENBLAS_CORETYPE" in os.environ or not has_avx2():
        yield
        return
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"
    try:
        yield
    finally:
        del os.environ["OPENBLAS_CORETYPE"]


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """Drop what C code prints on the file descriptor of stderr (OneFlow's note on libibverbs)."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def import_oneflow() -> ModuleType:
    """Import OneFlow with everything set that it reads only once; exit with a sentence if not."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    prepare_rank()
    try:
        with blas_kernel_chosen(), stderr_silenced():
            oneflow = importlib.import_module("oneflow")
    except Exception as error:  # numpy 2 and protobuf 4 each make it one of their own kind
        reason = str(error).strip(". ").partition("\n")[0].rstrip(".!")
        sys.exit(f"error: OneFlow cannot be imported ({reason}). {import_advice(str(error))}")
    # OneFlow's import replaces the C-level handler of SIGINT: Ctrl-C would be a segmentation fault.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return oneflow


def prepare_rank() -> None:
    """In one of several processes: let rank 0 come first.

    A rank that asks before rank 0 listens would ask again only 10 seconds later.
    """
    if any(name not in os.environ for name in TOLD) or int(os.environ["WORLD_SIZE"]) < 2:
        return
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if int(os.environ["RANK"]) > 0:
        wait_for(address)
    elif listens(address):  # two runs at one port would take each other's ranks
        sys.exit(
            f"error: port {address[1]} of {address[0]} is in use: give the launcher another one, "
            f"as --master_port {address[1] + 1}."
        )


def listens(address: tuple[str, int]) -> bool:
    """Whether anybody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=5):
        return True
    return False


def wait_for(address: tuple[str, int], patience: float = PATIENCE) -> None:
    """Wait until rank 0 accepts connections; exit with a sentence if it never does."""
    deadline = time.monotonic() + patience
    while not listens(address):
        if time.monotonic() > deadline:
            host, port = address
            sys.exit(
                f"error: rank 0 did not come to port {port} of {host} within {patience:g} s: start "
                "the launcher there too, with the same --master_addr and --master_port."
            )
        time.sleep(0.1)


def blas_kernel() -> str:
    """Name of the kernel set that OneFlow's OpenBLAS uses, as "Haswell" or "Barcelona"."""
    folder = Path(str(flow.__file__)).parent.parent / "oneflow.libs"
    library = ctypes.CDLL(str(next(folder.glob("liboneflow-*.so"))))
    library.gotoblas_corename.restype = ctypes.c_char_p
    return str(library.gotoblas_corename().decode())


def choose_device(name: str) -> str:
    """The device for `device=auto|cpu|cuda`: "cpu" or "cuda", or "cuda:1" for one of several ranks.

    Raises:
        ValueError: `cuda` was asked for and cannot be used, or there are not enough GPUs for the
            ranks; says why and what to do.
    """
    if name == "cpu":
        return "cpu"
    problem = cuda_problem()
    if problem is None and not flow.cuda.is_available():
        problem = "the driver finds a GPU and OneFlow does not: update the driver"
    if problem is None:
        return "cuda" if flow.env.get_world_size() == 1 else own_gpu()
    if name == "cuda":
        raise ValueError(f"device=cuda cannot be used: {problem}.")
    if "no NVIDIA driver" not in problem:  # a plain CPU machine needs no explanation
        log.warning("Running on the CPU: %s.", problem)
    return "cpu"


def own_gpu() -> str:
    """The GPU of this rank: the first rank on a machine has the first one, and so on.

    Raises:
        ValueError: the machine has fewer GPUs than ranks.
    """
    index, count = flow.env.get_local_rank(), flow.cuda.device_count()
    if index < count:
        return f"cuda:{index}"
    raise ValueError(
        f"Each process needs a GPU of its own, and this machine has {count}: give the launcher "
        f"--nproc_per_node {count}, or train with device=cpu."
    )


def follow_seed(model: Any) -> bool:
    """Make a model's dropout follow `flow.manual_seed`; returns whether it draws random numbers.

    Each `nn.Dropout` owns a generator with one constant seed: the masks would be the same for every
    seed and equal between modules. Without a generator of its own it uses the default one.
    """
    stochastic = False
    for module in model.modules():
        if isinstance(module, flow.nn.Dropout):
            module.generator = None
        stochastic |= any(word in type(module).__name__ for word in ("Drop", "Stochastic"))
    return stochastic


flow = import_oneflow()
