"""The doctor on good and bad machines: stand-ins for what is wrong, the real thing for the rest."""

import ast
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from scripts import doctor, doctor_inside
from scripts.doctor import SETUP, START, Finding
from tests.conftest import ROOT, TINY

BARE = ["scripts/__init__.py", "runs/__init__.py", "scripts/doctor.py"]
BARE += ["engine/process/machine.py", "common/files.py"]
PROGRAMS = [
    "train.py",
    *(
        f"-m scripts.{path.stem}"
        for path in sorted(ROOT.glob("scripts/*.py"))
        if "\n    python -m scripts." in path.read_text() and path.stem != "doctor"
    ),
]
SMALL = [word for word in TINY if word.startswith("dataset")]


def run_doctor(*words: str, python: str = sys.executable, **environment: str):
    command = [python, "-m", "scripts.doctor", *words]
    env = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def findings_of(told: str) -> dict[str, str]:
    """The report: by name, the status and the text."""
    lines = told.replace("\n" + " " * 26, " ").splitlines()
    return {line[6:26].strip(): line[:6] + line[26:] for line in lines if line[26:]}


def test_a_good_machine():
    done = run_doctor(*SMALL)
    found = findings_of(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert found[START].startswith("ok    0.9.0")
    assert found["data set"].startswith("ok    320 + 100 + 100 images")
    assert "MEND" not in done.stdout
    assert done.stdout.endswith(f"All is well. Next: {doctor.training_line()}\n")
    assert max(map(len, done.stdout.splitlines())) <= 80


# --- other Pythons, and none of the packages ---------------------------------------------------


@pytest.mark.parametrize("name", BARE)
def test_what_runs_without_packages_needs_none_and_an_old_python_reads_it(name):
    tree = ast.parse((ROOT / name).read_text(), feature_version=(3, 7))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = [getattr(node, "module", None) or node.names[0].name for node in imports]
    assert {module.split(".")[0] for module in modules} <= sys.stdlib_module_names


def test_a_python_without_packages(tmp_path):
    """This Python's own, outside of its environment."""
    bare = os.path.realpath(sys.executable)
    done = run_doctor(python=bare, PYTHONNOUSERSITE="1")
    found = findings_of(done.stdout)
    assert done.returncode == 1
    assert found["oneflow"].startswith("MEND  OneFlow is not installed for this Python > ")
    assert found["data set"] == "note  not looked at: its reader needs the packages"
    assert START not in found


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_tells_that_this_python_has_no_packages(program):
    bare = os.path.realpath(sys.executable)
    command = [bare, "-s", *program.split(), *(["x", "y"] if "export" in program else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    expected = r"error: package '\w+' is missing from this Python. To fix it, run: "
    assert re.fullmatch(rf"{expected}{bare} -m scripts\.doctor\n", done.stderr)


def test_a_module_of_ours_that_is_missing_is_a_bug():
    code = "import scripts; import scripts.nowhere"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" in done.stderr and "is missing" not in done.stderr


@pytest.mark.parametrize(
    ("version", "ready", "line"),
    [
        ((3, 10, 13), False, ""),
        ((3, 11, 7), False, SETUP),
        ((3, 9, 18), False, SETUP),
        ((3, 11, 7), True, ".venv/bin/python -m scripts.doctor"),
    ],
)
def test_another_python(tmp_path, monkeypatch, version, ready, line):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    if ready:
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv/.ready").touch()
    finding = doctor.check_python(version, "/usr/bin/python3")
    assert (finding.status, finding.line) == ("mend" if line else "ok", line)
    assert finding.text.startswith(".".join(map(str, version)) + " (/usr/bin/python3)")


@pytest.mark.parametrize(
    ("prefix", "ready", "line"),
    [
        (".venv", True, "make train"),
        (".venv", False, "/py/bin/python train.py experiment=quickstart"),  # by pip: README
        ("/usr/local", True, "/py/bin/python train.py experiment=quickstart"),
        ("/usr/local", False, "/py/bin/python train.py experiment=quickstart"),  # in a container
    ],
)
def test_the_next_line_trains_with_this_python(tmp_path, monkeypatch, prefix, ready, line):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / prefix))
    monkeypatch.setattr(sys, "executable", "/py/bin/python")
    (tmp_path / ".venv").mkdir()
    if ready:
        (tmp_path / ".venv/.ready").touch()
    assert doctor.training_line() == line


@pytest.mark.parametrize(
    ("system", "architecture", "libc", "status"),
    [
        ("Linux", "x86_64", ("glibc", "2.36"), "ok"),
        ("Linux", "x86_64", ("", ""), "mend"),  # musl, as in Alpine
        ("Linux", "aarch64", ("glibc", "2.36"), "mend"),
        ("Darwin", "x86_64", ("", ""), "mend"),
        ("Windows", "AMD64", ("", ""), "mend"),
    ],
)
def test_other_systems(system, architecture, libc, status):
    assert doctor.check_system(system, architecture, libc).status == status


# --- packages -----------------------------------------------------------------------------------


def test_a_wrong_version_is_told_with_its_line(monkeypatch):
    right = doctor.machine.installed_version
    versions = {"numpy": "2.2.6", "nvidia-cudnn-cu11": None, "tqdm": "1.0"}
    monkeypatch.setattr(
        doctor.machine, "installed_version", lambda name: versions.get(name, right(name))
    )
    monkeypatch.setattr(doctor.machine, "install_line", lambda requirement: f"get {requirement}")
    found = {finding.name: finding for finding in doctor.check_packages()}
    text = "OneFlow 0.9.0 needs numpy below 2, and this is 2.2.6"
    assert found["numpy"] == Finding("mend", "numpy", text, "get 'numpy<2'")
    assert found["nvidia-cudnn-cu11"].line == "get nvidia-cudnn-cu11==8.5.0.96"
    assert found["protobuf"].status == "ok"
    assert found["other packages"].text.startswith("not as locked: tqdm 1.0 (not ")


@pytest.mark.parametrize(
    ("have", "status", "text"),
    [
        ({"a": "1", "b": "2"}, "ok", "2, as in requirements.txt"),
        ({"a": "1", "b": "3"}, "note", "not as locked: b 3 (not 2)"),
        ({"a": None, "b": "3"}, "mend", "not installed: a"),
    ],
)
def test_the_lock(have, status, text):
    finding = doctor.check_lock({"a": "1", "b": "2"}, have)
    assert (finding.status, finding.text) == (status, text)


# --- folders, GPU -------------------------------------------------------------------------------


def test_folders(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=2.5e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    (tmp_path / "closed").mkdir(mode=0o555)
    monkeypatch.chdir(tmp_path)
    assert doctor.check_folder("outputs", "outputs").text == "outputs can be written, 2.5 GB free"
    told = doctor.check_folder("outputs", "outputs", doctor.SETUP_ROOM)
    assert (told.status, told.text) == ("mend", "outputs: only 2.5 GB free, expected 5: make room")
    assert doctor.check_folder("dataset.root", "closed").status == "note"
    (tmp_path / "outputs").mkdir(mode=0o555)
    told = doctor.check_folder("outputs", "outputs")
    assert (told.status, told.line) == ("mend", "hydra.run.dir=FOLDER")


@pytest.mark.parametrize(
    ("problem", "seen", "wanted", "status"),
    [
        (None, None, True, "ok"),
        ("no NVIDIA driver is installed", None, False, "note"),
        ("no NVIDIA driver is installed", None, True, "mend"),
        (None, "the driver finds a GPU and OneFlow does not", True, "mend"),
    ],
)
def test_a_gpu_is_needed_only_where_it_is_asked_for(monkeypatch, problem, seen, wanted, status):
    monkeypatch.setattr(doctor.machine, "cuda_problem", lambda: problem)
    finding = doctor.check_gpu(wanted, seen)
    assert finding.status == status and (problem or seen or "can be used") in finding.text


# --- with OneFlow -------------------------------------------------------------------------------


def data_finding(*words: str) -> Finding:
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return doctor_inside.check_data(compose("config", list(words)).dataset)


def test_no_data(tmp_path):
    told = data_finding(f"dataset.root={tmp_path}")
    assert told.status == "note"
    assert told.text.startswith(f"dataset.root='{tmp_path}': expected CIFAR-100 in it.")
    assert told.text.endswith("Or let the first run download it")
    told = data_finding(f"dataset.root={tmp_path}", "dataset.download=false")
    assert told.status == "mend" and "or use the built-in images" in told.text
    told = data_finding("dataset.root=nowhere", "dataset=cifar10")
    assert told == (
        "mend",
        "data set",
        "dataset.root='nowhere': expected an existing folder.",
        "",
    )


def test_damaged_data(tmp_path):
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(b"not an archive")
    told = data_finding(f"dataset.root={tmp_path}")
    assert told.status == "mend" and "cannot be used as CIFAR-100" in told.text


@pytest.mark.parametrize(
    ("kernel", "avx2", "status", "line"),
    [
        ("Haswell", True, "ok", ""),
        ("SkylakeX", True, "ok", ""),
        ("Prescott", True, "note", "unset OPENBLAS_CORETYPE"),
        ("Nehalem", False, "note", ""),
    ],
)
def test_kernels(monkeypatch, kernel, avx2, status, line):
    monkeypatch.setattr(doctor_inside.runtime, "has_avx2", lambda: avx2)
    finding = doctor_inside.check_kernel(kernel)
    assert (finding.status, finding.line) == (status, line)


def stub(tmp_path, code: str) -> str:
    (tmp_path / "oneflow").mkdir()
    (tmp_path / "oneflow/__init__.py").write_text(code)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "raise ImportError('libcudnn.so.8: gone')",
            "OneFlow cannot be imported (libcudnn.so.8: gone)",
        ),
        (
            "raise TypeError('Descriptors cannot.\\nMore')",
            "OneFlow cannot be imported (Descriptors cannot)",
        ),
        ("import os; os.abort()", "the process was ended by SIGABRT"),
    ],
)
def test_oneflow_that_does_not_start(tmp_path, code, words):
    done = run_doctor(*SMALL, PYTHONPATH=stub(tmp_path, code))
    assert done.returncode == 1
    assert findings_of(done.stdout)[START].startswith(f"MEND  {words}")


def test_a_training_says_the_same(tmp_path):
    env = os.environ | {"PYTHONPATH": stub(tmp_path, "raise ImportError('libx.so.8: gone')")}
    command = [sys.executable, "train.py", *TINY, f"hydra.run.dir={tmp_path}/run"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("error: OneFlow cannot be imported (libx.so.8: gone). ")


def test_a_mistyped_key_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["doctor", "dataset.rot=x"])
    with pytest.raises(SystemExit) as ended:
        doctor_inside.main()
    assert str(ended.value).startswith("error: dataset.rot: dataset has no key 'rot'")
    assert capsys.readouterr().out == ""
