"""The doctor on good and bad machines: real processes where a user meets it, tables elsewhere."""

import ast
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from scripts import doctor
from scripts.doctor import SETUP, START
from tests.conftest import ROOT, TINY

SMALL = [word for word in TINY if word.startswith("dataset")]
BARE = os.path.realpath(sys.executable)  # this Python outside of its environment: no packages
COMMANDS = {path.stem for path in ROOT.glob("scripts/*.py")} - {"__init__", "doctor"}
COMMANDS |= {path.parent.name for path in ROOT.glob("scripts/*/__main__.py")}


def run_doctor(*words: str, python: str = sys.executable, **environment: str):
    command = [python, "-m", "scripts.doctor", *words]
    env = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def findings_of(report: str) -> dict[str, str]:
    """Return the status and the text by name."""
    lines = report.replace("\n" + " " * 26, " ").splitlines()
    return {line[6:26].strip(): line[:6] + line[26:] for line in lines if line[26:]}


def test_a_good_machine():
    done = run_doctor(*SMALL)
    found = findings_of(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert found[START].startswith("ok    0.9.0")
    assert found["data set"].startswith("ok    320 + 100 + 100 images from data.synthetic")
    assert found["BLAS kernel"] and "FAIL" not in done.stdout
    here = os.path.relpath(sys.executable, ROOT)
    python = sys.executable if here.startswith("..") else here
    assert done.stdout.endswith(f"Next: {python} train.py experiment=quickstart\n")
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    reason = "FAIL  dataset.rot: dataset has no key 'rot'"
    assert findings_of(run_doctor("dataset.rot=x").stdout)[START].startswith(reason)


def test_a_python_without_packages():
    done = run_doctor(python=BARE, PYTHONNOUSERSITE="1")
    found = findings_of(done.stdout)
    assert done.returncode == 1
    assert found["oneflow"].startswith("FAIL  OneFlow is not installed for this Python > ")
    assert found["data set"] == "note  not checked: its reader needs the packages"
    assert START not in found and "\n\n1 failed. Begin at the top" in done.stdout


def test_an_old_python_can_read_what_the_doctor_needs():
    for name in ("scripts/__init__", "scripts/doctor", "engine/process/machine", "common/files"):
        ast.parse((ROOT / f"{name}.py").read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("command", ["train.py", *sorted(COMMANDS)])
def test_every_command_names_a_missing_package(command):
    words = [command] if command == "train.py" else ["-m", f"scripts.{command}"]
    done = subprocess.run([BARE, "-s", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    expected = r"error: package '\w+' is missing from this Python. To fix it, run: "
    assert re.fullmatch(rf"{expected}{BARE} -m scripts\.doctor\n", done.stderr)


def test_another_python(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    (tmp_path / ".venv").mkdir()
    for version, line in (((3, 10, 13), ""), ((3, 11, 7), SETUP), ((3, 9, 18), SETUP)):
        finding = doctor.check_python(version, "/usr/bin/python3")
        assert (finding.status, finding.line) == ("FAIL" if line else "ok", line)
        assert finding.text.startswith(".".join(map(str, version)) + " (/usr/bin/python3)")
    (tmp_path / ".venv/.ready").touch()
    assert doctor.check_python((3, 11, 7), "p").line == ".venv/bin/python -m scripts.doctor"


def test_a_wrong_version_has_a_line_to_type(monkeypatch):
    right = doctor.machine.installed_version
    versions = {"numpy": "2.2.6", "nvidia-cudnn-cu11": None, "tqdm": "1.0"}
    monkeypatch.setattr(
        doctor.machine, "installed_version", lambda name: versions.get(name, right(name))
    )
    found = {finding.name: finding for finding in doctor.check_packages()}
    assert found["numpy"].status == "FAIL"
    assert found["numpy"].text == "OneFlow 0.9.0 needs numpy below 2, and this is 2.2.6"
    assert "install 'numpy<2'" in found["numpy"].line or found["numpy"].line == SETUP
    assert found["nvidia-cudnn-cu11"].status == "FAIL"
    assert found["protobuf"].status == "ok"
    assert found["other packages"].text.startswith("not as locked: tqdm 1.0 (not ")


@pytest.mark.parametrize(
    ("check", "arguments", "status", "text"),
    [
        ("compare_lock", ({"a": "1"}, {"a": "1"}), "ok", "1, as in requirements.txt"),
        ("compare_lock", ({"a": "1", "b": "2"}, {"a": None, "b": "3"}), "FAIL", "not installed: a"),
        ("check_kernel", ("Haswell", True), "ok", "Haswell"),
        ("check_kernel", ("Prescott", True), "note", "OPENBLAS_CORETYPE is set"),
        ("check_kernel", ("Nehalem", False), "note", "no AVX2"),
        ("check_gpu", (True, None), "ok", "can be used"),
        ("check_gpu", (False, "no driver"), "note", "no driver. Not needed"),
        ("check_gpu", (True, "no driver"), "FAIL", "device=cuda cannot be used: no driver"),
        ("check_system", ("Linux", "x86_64", ("glibc", "2.36")), "ok", "Linux x86_64, glibc 2.36"),
        ("check_system", ("Linux", "x86_64", ("", "")), "FAIL", "no glibc"),  # musl, as in Alpine
        ("check_system", ("Linux", "aarch64", ("glibc", "2.36")), "FAIL", "Linux on x86-64"),
        ("check_system", ("Darwin", "x86_64", ("", "")), "FAIL", "Linux on x86-64"),
    ],
)
def test_checks(check, arguments, status, text):
    finding = getattr(doctor, check)(*arguments)
    assert finding.status == status and text in finding.text


def test_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2.5e9))
    (tmp_path / "closed").mkdir(mode=0o555)
    monkeypatch.chdir(tmp_path)
    assert doctor.check_folder("outputs", "outputs").text == "outputs can be written, 2.5 GB free"
    found = doctor.check_folder("outputs", "outputs", doctor.SETUP_ROOM)
    assert found[::2] == ("FAIL", "outputs: only 2.5 GB free, expected 5: make room")
    assert doctor.check_folder("dataset.root", "closed").status == "note"
    found = doctor.check_folder("outputs", "closed")
    assert (found.status, found.line) == ("FAIL", "hydra.run.dir=FOLDER")


def test_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "damaged"):
        (tmp_path / name).mkdir()
    (tmp_path / "damaged/cifar-100-python.tar.gz").write_bytes(b"not an archive")
    build = {"_target_": "data.cifar.build_cifar100", "val_size": 5000, "train_size": None}
    cases = {("empty", True): "note", ("empty", False): "FAIL", ("nowhere", True): "FAIL"}
    for (root, download), status in (cases | {("damaged", True): "FAIL"}).items():
        finding = doctor.check_data(build | {"root": root, "download": download})
        assert finding.status == status and root in finding.text
        assert finding.text.endswith("Or let the first run download it") == (status == "note")


def test_oneflow_that_does_not_start(tmp_path):
    (tmp_path / "oneflow").mkdir()
    file, env = tmp_path / "oneflow/__init__.py", {"PYTHONPATH": str(tmp_path)}
    file.write_text("import os; os.abort()")
    done = run_doctor(*SMALL, **env)
    assert done.returncode == 1
    assert findings_of(done.stdout)[START] == "FAIL  the process was ended by SIGABRT"
    file.write_text("raise TypeError('Descriptors cannot.\\nMore')")
    reason = "OneFlow cannot be imported (Descriptors cannot). "
    assert findings_of(run_doctor(*SMALL, **env).stdout)[START].startswith(f"FAIL  {reason}")
    # a training fails with the same sentence
    command = [sys.executable, "train.py", *TINY, f"hydra.run.dir={tmp_path}/run"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {reason}")
