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
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

# numpy chooses its kernels when it is loaded: here, so that no setting below can change them.
import numpy  # noqa: F401

from engine.process.machine import cuda_problem, has_avx2, import_advice

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "GLOG_minloglevel": "3",  # no start-up warnings; fatal errors are still printed
    "ONEFLOW_VM_COMPUTE_ON_WORKER_THREAD": "0",  # else a second core spins, for nothing
    # Without it a cache keyed by the learning rate grows with every step (by 115 MB in all).
    "ONEFLOW_EAGER_TENSOR_INFER_CACHE_SIZE": "1024",
}

# A launcher (python -m oneflow.distributed.launch) sets these for each process that it starts.
LAUNCHER_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK")
PATIENCE = 600.0  # seconds in which rank 0 has to start: on another machine someone may be typing


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """Drop what C code prints on stderr within the block (OneFlow's note on libibverbs)."""
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
    # The OpenBLAS inside OneFlow takes an SSE kernel for every processor that it does not know by
    # name, and has none newer than these. Child processes decide for themselves.
    kernel_is_ours = has_avx2() and "OPENBLAS_CORETYPE" not in os.environ
    if kernel_is_ours:
        os.environ["OPENBLAS_CORETYPE"] = "Haswell"
    try:
        with stderr_silenced():
            oneflow = importlib.import_module("oneflow")
    except Exception as error:  # numpy 2 and protobuf 4 each make it one of their own kind
        reason = str(error).strip(". ").partition("\n")[0].rstrip(".!")
        sys.exit(f"error: OneFlow cannot be imported ({reason}). {import_advice(str(error))}")
    finally:
        if kernel_is_ours:
            del os.environ["OPENBLAS_CORETYPE"]
    # OneFlow's import replaces the C-level handler of SIGINT: Ctrl-C would be a segmentation fault.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return oneflow


def prepare_rank() -> None:
    """Let rank 0 come first: a rank that asks before it listens asks again 10 seconds later."""
    launched = all(name in os.environ for name in LAUNCHER_VARIABLES)
    if not launched or int(os.environ["WORLD_SIZE"]) < 2:
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
    """Return whether a process accepts connections at this address."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=5):
        return True
    return False


def wait_for(address: tuple[str, int], patience: float = PATIENCE) -> None:
    """Wait until rank 0 accepts connections; exit with a sentence if it never does."""
    deadline = time.monotonic() + patience
    while not listens(address):
        if time.monotonic() > deadline:
            sys.exit(
                f"error: rank 0 did not open port {address[1]} of {address[0]} within {patience:g} "
                "s: start the launcher there too, with the same --master_addr and --master_port."
            )
        time.sleep(0.1)


def blas_kernel() -> str:
    """Return the name of the kernels that OneFlow's OpenBLAS uses: "Haswell", "Barcelona", ..."""
    folder = Path(str(flow.__file__)).parent.parent / "oneflow.libs"
    library = ctypes.CDLL(str(next(folder.glob("liboneflow-*.so"))))
    library.gotoblas_corename.restype = ctypes.c_char_p
    return str(library.gotoblas_corename().decode())


def choose_device(name: str, find_problem: Callable[[], str | None] = cuda_problem) -> str:
    """Return the device for `device=auto|cpu|cuda`: "cpu" or "cuda", "cuda:1" for one of the ranks.

    Raises:
        ValueError: `cuda` cannot be used, or the ranks are more than the GPUs; names what to do.
    """
    if name == "cpu":
        return "cpu"
    problem = find_problem()
    if problem is None and not flow.cuda.is_available():
        problem = "the driver finds a GPU and OneFlow does not: update the driver"
    if problem is None:
        local_rank = flow.env.get_local_rank() if flow.env.get_world_size() > 1 else None
        return choose_gpu(local_rank, flow.cuda.device_count())
    if name == "cuda":
        raise ValueError(f"device=cuda cannot be used: {problem}.")
    if "no NVIDIA driver" not in problem:  # a plain CPU machine needs no explanation
        log.warning("Running on the CPU: %s.", problem)
    return "cpu"


def choose_gpu(local_rank: int | None, count: int) -> str:
    """Return the GPU of the rank with this number on its machine (None: of the only process).

    Raises:
        ValueError: the machine has fewer GPUs, `count`, than ranks.
    """
    if local_rank is None:
        return "cuda"
    if local_rank < count:
        return f"cuda:{local_rank}"
    raise ValueError(
        f"Each process needs its GPU, and this machine has {count}: give the launcher "
        f"--nproc_per_node {count}, or train with device=cpu."
    )


def follow_seed(model: Any) -> bool:
    """Make a model's dropout follow `flow.manual_seed`; return whether it draws random numbers.

    Each `nn.Dropout` owns a generator with one constant seed: the masks would be the same for every
    seed and equal between modules. Without a generator of its own it uses the default one.
    """
    for module in model.modules():
        if isinstance(module, flow.nn.Dropout):
            module.generator = None
    names = " ".join(type(module).__name__ for module in model.modules())
    return "Drop" in names or "Stochastic" in names


flow = import_oneflow()
