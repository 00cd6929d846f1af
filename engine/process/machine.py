"""What OneFlow 0.9.0 needs: the packages beside it, the processor, the GPU.

It uses the standard library alone and does not import OneFlow, so that it works where OneFlow
cannot be imported, and in any Python: `python -m scripts.doctor` loads this file by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# Compute capabilities with code in the wheel. There is no PTX, so a GPU runs only code of its own
# major version and of its own minor version or a lower one.
KERNELS = ((6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6))
# The packages that decide what a run computes.
PACKAGES = ("oneflow", "numpy", "hydra-core", "tensorboardX")
MINIMUM_CUDA = 11000  # what cuDriverGetVersion must report for a CUDA 11 runtime


class Problem(NamedTuple):
    """A fault of the environment, and its remedy: mostly a line to type."""

    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.sentence}: {self.remedy}"


class Need(NamedTuple):
    """A package that OneFlow or the models need."""

    package: str
    accepted: str  # what the version begins with
    requirement: str  # as an installer takes it
    sentence: str


NEEDS = (
    Need("oneflow", "0.9.0.", "oneflow==0.9.0", "This project is made for OneFlow 0.9.0"),
    Need("numpy", "1.", "'numpy<2'", "OneFlow 0.9.0 needs numpy below 2"),
    Need("protobuf", "3.", "'protobuf>=3.20.3,<4'", "OneFlow 0.9.0 needs protobuf below 4"),
    Need(
        "nvidia-cudnn-cu11",
        "8.5.0.96.",
        "nvidia-cudnn-cu11==8.5.0.96",
        "OneFlow 0.9.0 needs cuDNN 8.5 beside it, on a CPU too",
    ),
    Need(
        "nvidia-cublas-cu11",
        "11.",
        "'nvidia-cublas-cu11<12'",
        "OneFlow 0.9.0 needs cuBLAS 11 beside it, on a CPU too",
    ),
    Need(
        "flowvision",
        "0.2.1.",
        "flowvision==0.2.1",
        "flowvision 0.2.1 is the one that OneFlow 0.9.0 can import",
    ),
)


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def package_problem(need: Need, version: str | None) -> Problem | None:
    """Return what is wrong with this version of a package (None: not installed), if anything."""
    if version is None and need.package == "oneflow":
        return Problem("OneFlow is not installed for this Python", "make clean setup")
    if version is not None and (version.partition("+")[0] + ".").startswith(need.accepted):
        return None  # 0.9.0+cu117 is a build of 0.9.0
    have = "it is not installed" if version is None else f"this is {version}"
    return Problem(f"{need.sentence}, and {have}", install_line(need.requirement))


def install_line(requirement: str) -> str:
    """Return the line that installs a package into the environment of this Python."""
    python = os.path.relpath(sys.executable)
    # flowvision alone is built from source, and its build needs an old setuptools.
    build = "build-constraints.txt" if requirement.startswith("flowvision") else ""
    if (ROOT / ".tools/uv/bin/uv").is_file():  # `make` makes environments without a pip
        line = f".tools/uv/bin/uv pip install {requirement} --python {python}"
        return f"{line} -b {build}" if build else line
    if find_spec("pip"):
        line = f"{python} -m pip install {requirement}"
        return f"PIP_BUILD_CONSTRAINT={build} {line}" if build else line
    return "make clean setup"


def import_advice(message: str, version_of: Callable[[str], str | None] = installed_version) -> str:
    """Return what to do where OneFlow's import fails with this message."""
    problems = {need: package_problem(need, version_of(need.package)) for need in NEEDS}
    for need, problem in problems.items():
        # A library may also be missing where its package counts as installed.
        lost = re.search("libcudnn|libcublas", message) and need.package.startswith("nvidia")
        if problem or lost:
            return f"{problem or Problem(need.sentence, install_line(need.requirement))}."
    return "Make the environment again with: make clean setup"


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether this is a 64-bit processor with AVX2 and FMA, which "Haswell" kernels need."""
    with contextlib.suppress(OSError):
        flags = re.search(r"^flags\s*:(.*)", cpuinfo.read_text(), re.MULTILINE)
        return flags is not None and {"lm", "avx2", "fma"} <= set(flags[1].split())
    return False


def cuda_problem(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> str | None:
    """Return why OneFlow cannot use the first visible GPU, with what to do; None where it can.

    It asks the driver and not OneFlow, which aborts the process where the driver is missing.
    """
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1 is not found): install one"
    version, count, device, major, minor = (ctypes.c_int(0) for _ in range(5))
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return (
            "the NVIDIA driver sees no GPU (look at nvidia-smi and CUDA_VISIBLE_DEVICES; "
            "a container needs --gpus all)"
        )
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value < MINIMUM_CUDA:
        have = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return f"the NVIDIA driver supports CUDA {have} and OneFlow 0.9.0 needs 11.0: update it"
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    return architecture_problem(major.value, minor.value)


def architecture_problem(major: int, minor: int) -> str | None:
    """Return a sentence if the wheel has no kernels for a GPU of this capability, else None."""
    if any(major == have_major and minor >= have_minor for have_major, have_minor in KERNELS):
        return None
    return (
        f"this GPU has compute capability {major}.{minor} and the wheel of OneFlow 0.9.0 has "
        "kernels for 6.0 to 8.9 only: use such a GPU (P100 to A100, GTX 10 to RTX 40), or a "
        f"OneFlow built from source with CUDA_ARCHITECTURES={major}{minor}, or device=cpu"
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what a run computes."""
    found = {name: str(installed_version(name)) for name in PACKAGES}
    return found | {"python": platform.python_version()}


def hardware() -> str:
    """Return the processor's name and its number of cores, as `AMD EPYC, 2 cores`."""
    name = platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        name = found[1] if found else name
    return f"{name}, {os.cpu_count()} cores"
