"""docs/add-your-own.md as a reader follows it: its files written, its commands run."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT, TINY

PAGE = (ROOT / "docs/add-your-own.md").read_text()
FILES = dict(re.findall(r"`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.S | re.M))
COMMANDS = "".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.S | re.M)).splitlines()
SAWTOOTH = FILES["schedulers/sawtooth.py"]


def test_the_example_class_does_what_its_docstring_says():
    module = ModuleType("sawtooth")
    exec(SAWTOOTH, vars(module))
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module.SawtoothLR, module=False, globs=vars(module)):
        runner.run(test)
    assert runner.summarize() == (0, 4)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """A copy of the repository with the files that the page tells the reader to write."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "train.py", folder)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    for package in packages | {"conf", "scripts"}:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignore)
    for name, text in (FILES | {"mine/my_module.py": SAWTOOTH}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run_in(lab: Path, line: str) -> str:
    """The output of a command line of the page; a training is made tiny."""
    line = f"{line} {' '.join(TINY)}" if "train.py" in line else line
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    options = {"cwd": lab, "env": os.environ | {"PATH": path}, "timeout": 300}
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_example_run(lab, line):
    output = run_in(lab, line)
    assert "train.py" not in line or "learning rates as previewed: 20 of 20 steps" in output
    if out := re.search(r"preview\.out=(\S+)", line):
        assert (lab / out[1]).stat().st_size > 1000


def test_the_example_nests(lab):
    out = "preview.total_steps=100 preview.steps_per_epoch=10 preview.out=curve.json"
    run_in(lab, f"python -m scripts.preview scheduler=warm_sawtooth {out}")
    rates = json.loads((lab / "curve.json").read_text())["lr"][0]
    # a warm-up of 10 steps from a tenth, then teeth of 18 steps
    assert [rates[step] for step in (0, 5, 10, 19, 28, 99)] == pytest.approx(
        [0.01, 0.055, 0.1, 0.0525, 0.1, 0.1 * (1 - 0.95 * 17 / 18)], rel=1e-12
    )
