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
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

# OneFlow brings numpy with it. Loaded first, numpy picks its own kernels, whatever is set below.
import numpy

from engine.rendezvous import prepare_rank

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "GLOG_minloglevel": "3",  # no start-up warnings; fatal errors still say why
    "ONEFLOW_VM_COMPUTE_ON_WORKER_THREAD": "0",  # else a second core spins, for nothing
    # Without it a cache keyed by the learning rate grows with every step (by 115 MB in all).
    "ONEFLOW_EAGER_TENSOR_INFER_CACHE_SIZE": "1024",
}

# Compute capabilities with code in the wheel. There is no PTX, so a GPU runs only code of its own
# major version and of its own minor version or a lower one.
KERNELS = ((6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6))
MINIMUM_CUDA = 11000  # what cuDriverGetVersion must report for a CUDA 11 runtime


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is a 64-bit processor with AVX2 and FMA, which OpenBLAS's "Haswell" needs."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return {"lm", "avx2", "fma"} <= set(flags)


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
    except ImportError as error:
        sys.exit(f"OneFlow cannot be imported ({error}). {import_advice(str(error))}")
    # OneFlow's import replaces the C-level handler of SIGINT: Ctrl-C would be a segmentation fault.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return oneflow


def import_advice(message: str) -> str:
    """What to do about an ImportError of OneFlow with this message."""
    if "libcudnn" in message or "libcublas" in message:
        return (
            "Its wheel needs cuDNN 8.5 beside it, on a CPU too: "
            "pip install nvidia-cudnn-cu11==8.5.0.96"
        )
    if "numpy" in message:
        return f"It needs numpy below 2, and this is {numpy.__version__}: pip install 'numpy<2'"
    return "Make the environment again with: make clean setup"


def blas_kernel() -> str:
    """Name of the kernel set that OneFlow's OpenBLAS uses, as "Haswell" or "Barcelona"."""
    folder = Path(str(flow.__file__)).parent.parent / "oneflow.libs"
    library = ctypes.CDLL(str(next(folder.glob("liboneflow-*.so"))))
    library.gotoblas_corename.restype = ctypes.c_char_p
    return str(library.gotoblas_corename().decode())


def cuda_problem(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> str | None:
    """Why OneFlow cannot use the first visible GPU, with what to do; None where it can.

    It asks the driver and not OneFlow, which aborts the process where the driver is missing.
    """
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1 is not found): install one"
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return (
            "the NVIDIA driver sees no GPU (look at nvidia-smi and CUDA_VISIBLE_DEVICES; "
            "a container needs --gpus all)"
        )
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value < MINIMUM_CUDA:
        have = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return f"the NVIDIA driver supports CUDA {have} and OneFlow 0.9.0 needs 11.0: update it"
    return architecture_problem(compute_capability(driver))


def compute_capability(driver: ctypes.CDLL) -> tuple[int, int]:
    """(major, minor) of the first visible GPU, from cuDeviceGetAttribute 75 and 76."""
    device, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    return major.value, minor.value


def architecture_problem(capability: tuple[int, int]) -> str | None:
    """A sentence if the wheel has no kernels for a GPU of this (major, minor), else None."""
    major, minor = capability
    if any(major == have_major and minor >= have_minor for have_major, have_minor in KERNELS):
        return None
    return (
        f"this GPU has compute capability {major}.{minor} and the wheel of OneFlow 0.9.0 has "
        "kernels for 6.0 to 8.9 only: use such a GPU (P100 to A100, GTX 10 to RTX 40), or a "
        f"OneFlow built from source with CUDA_ARCHITECTURES={major}{minor}, or device=cpu"
    )


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
