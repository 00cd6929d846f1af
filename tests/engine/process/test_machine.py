"""What OneFlow needs beside it is told apart, with the line that brings it."""

import sys

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


@pytest.mark.parametrize(
    ("uv", "pip", "numpy", "flowvision"),
    [
        (
            True,
            True,
            ".tools/uv/bin/uv pip install 'numpy<2' --python env/bin/python",
            ".tools/uv/bin/uv pip install flowvision==0.2.1 --python env/bin/python"
            " -b build-constraints.txt",
        ),
        (
            False,
            True,
            "env/bin/python -m pip install 'numpy<2'",
            "PIP_BUILD_CONSTRAINT=build-constraints.txt env/bin/python -m pip install"
            " flowvision==0.2.1",
        ),
        (False, False, "make clean setup", "make clean setup"),
    ],
)
def test_the_line_to_type(tmp_path, monkeypatch, uv, pip, numpy, flowvision):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(machine, "find_spec", lambda name: pip or None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env/bin/python"))
    if uv:
        (tmp_path / ".tools/uv/bin").mkdir(parents=True)
        (tmp_path / ".tools/uv/bin/uv").touch()
    assert machine.install_line(NEEDS["numpy"].requirement) == numpy
    assert machine.install_line(NEEDS["flowvision"].requirement) == flowvision


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
def test_advice_names_the_cause(monkeypatch, versions, message, words):
    good = {"oneflow": "0.9.0", "numpy": "1.26.4", "protobuf": "3.20.3", "flowvision": "0.2.1"}
    good |= {"nvidia-cudnn-cu11": "8.5.0.96", "nvidia-cublas-cu11": "11.11.3.6"}
    monkeypatch.setattr(machine, "installed_version", (good | versions).get)
    assert words in machine.import_advice(message)
