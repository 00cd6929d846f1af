"""A fault of the environment is named, with the line that mends it."""

import importlib.util
import os
import runpy
import shutil
import sys
from types import SimpleNamespace

import pytest

from engine.process import machine

NEEDS = {need.package: need for need in machine.NEEDS}


@pytest.mark.parametrize(
    ("package", "good", "bad"),
    [
        ("oneflow", ["0.9.0", "0.9.0+cu117"], ["0.9.1", "0.9.01", "0.8.0", "1.0.0"]),
        ("numpy", ["1.26.4", "1.23.0"], ["2.0.0", "2.2.6", "10.1"]),
        ("protobuf", ["3.20.3", "3.19.6"], ["4.25.9", "5.29.0"]),
        ("nvidia-cudnn-cu11", ["8.5.0.96"], ["8.6.0.163", "9.1.0", None]),
        ("nvidia-cublas-cu11", ["11.11.3.6"], ["12.1.3.1", None]),
        ("flowvision", ["0.2.1"], ["0.2.2", "0.2.10", "0.1.0", None]),
    ],
)
def test_versions(package, good, bad):
    need = NEEDS[package]
    assert [machine.package_problem(need, version) for version in good] == [None] * len(good)
    for version in bad:
        have = "it is not installed" if version is None else f"this is {version}"
        assert machine.package_problem(need, version).sentence == f"{need.sentence}, and {have}"


UV = ".tools/uv/bin/uv pip install {what} --python {python}"
PIP = "{python} -m pip install {what}"
BUILD = "build-constraints.txt"


@pytest.mark.parametrize(
    ("installer", "numpy", "flowvision"),
    [
        (".tools/uv/bin/uv", UV, f"{UV} -b {BUILD}"),
        ("pip.py", PIP, f"PIP_BUILD_CONSTRAINT={BUILD} {PIP}"),
        ("neither", "make clean setup", "make clean setup"),
    ],
)
def test_the_line_to_type(tmp_path, monkeypatch, installer, numpy, flowvision):
    """By a copy of the module in another project, as its root is its place."""
    if installer == "neither" and importlib.util.find_spec("pip"):
        pytest.skip("this Python has pip")
    for path in (tmp_path / "engine/process/machine.py", tmp_path / installer):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.syspath_prepend(tmp_path)  # where pip.py is a pip
    shutil.copy(machine.__file__, tmp_path / "engine/process")
    line = runpy.run_path(f"{tmp_path}/engine/process/machine.py")["install_line"]
    python = os.path.relpath(sys.executable)
    for what, expected in {"'numpy<2'": numpy, "flowvision==0.2.1": flowvision}.items():
        assert line(what) == expected.format(what=what, python=python)


@pytest.mark.parametrize(
    ("versions", "message", "words"),
    [
        ({"numpy": "2.2.6"}, "Unable to import Numpy array", "needs numpy below 2, and this is 2"),
        ({"protobuf": "4.25.9"}, "Descriptors cannot be created", "needs protobuf below 4"),
        ({"nvidia-cudnn-cu11": None}, "libcudnn_cnn_infer.so.8", "cuDNN 8.5 beside it, on a CPU"),
        ({}, "libcudnn_cnn_infer.so.8: cannot open", "needs cuDNN 8.5 beside it"),
        ({"oneflow": None}, "No module named 'oneflow'", "not installed for this Python: make"),
        ({}, "something else", "Make the environment again with: make clean setup"),
    ],
)
def test_advice_names_the_cause(versions, message, words):
    good = {"oneflow": "0.9.0", "numpy": "1.26.4", "protobuf": "3.20.3", "flowvision": "0.2.1"}
    good |= {"nvidia-cudnn-cu11": "8.5.0.96", "nvidia-cublas-cu11": "11.11.3.6"}
    assert words in machine.import_advice(message, (good | versions).get)


def test_has_avx2_reads_the_flags(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    assert machine.has_avx2(cpuinfo) is False  # there is no such file
    for flags, expected in {
        "fpu lm sse4_2 avx avx2 fma": True,
        "fpu lm sse4_2 avx fma": False,  # no AVX2
        "fpu lm sse4_2 avx avx2": False,  # no FMA
        "fpu avx avx2 fma": False,  # not 64 bit
        "fpu lm avx512f avx2_vnni fma": False,  # a longer name is not the flag
    }.items():
        cpuinfo.write_text(f"processor\t: 0\nmodel name\t: a b\nflags\t\t: {flags}\n")
        assert machine.has_avx2(cpuinfo) is expected, flags


def driver(init=0, count=1, version=12040, capability=(8, 0)):
    """Return a stand-in for libcuda.so.1: a GPU of this capability, and CUDA 12.4."""
    attributes = dict(zip((75, 76), capability, strict=True))
    put = lambda target, value: setattr(target._obj, "value", value)  # noqa: E731
    return SimpleNamespace(
        cuInit=lambda flags: init,
        cuDeviceGetCount=lambda target: put(target, count),
        cuDriverGetVersion=lambda target: put(target, version),
        cuDeviceGet=lambda device, ordinal: None,
        cuDeviceGetAttribute=lambda target, key, device: put(target, attributes[key]),
    )


@pytest.mark.parametrize(
    ("library", "words"),
    [
        (driver(init=100), "sees no GPU"),
        (driver(count=0), "sees no GPU"),
        (driver(version=10020), "supports CUDA 10.2"),
        (driver(version=11000), None),
        (None, "no NVIDIA driver"),
        (driver(capability=(5, 2)), "compute capability 5.2"),  # older than the wheel's oldest
        *((driver(capability=c), None) for c in [(6, 0), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9)]),
        (driver(capability=(7, 3)), None),  # code for 7.0 runs there
        (driver(capability=(9, 0)), "compute capability 9.0"),  # H100
        (driver(capability=(12, 0)), "CUDA_ARCHITECTURES=120"),
    ],
)
def test_which_gpus_can_be_used(library, words):
    def load(name):
        if library is None:
            raise OSError(f"{name}: cannot open shared object file")
        return library

    problem = machine.cuda_problem(load)
    assert problem is None if words is None else words in problem
