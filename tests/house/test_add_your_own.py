"""docs/add-your-own.md as a reader follows it: its files written, its commands run."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY

PAGE = (ROOT / "docs/add-your-own.md").read_text()
FILES = dict(re.findall(r"`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.S | re.M))
COMMANDS = "".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.S | re.M)).splitlines()
SAWTOOTH = FILES["schedulers/sawtooth.py"]


def test_the_example_class_does_what_its_docstring_says():
    exec(SAWTOOTH, scope := {})
    text = scope["SawtoothLR"].__doc__
    test = doctest.DocTestParser().get_doctest(text, scope, "sawtooth", None, None)
    assert doctest.DocTestRunner().run(test) == (0, 4)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """A copy of the repository with the files that the page tells the reader to write."""
    folder = tmp_path_factory.mktemp("lab")
    names = (".*", "__pycache__", "tests", "docs", "datasets", "outputs", "multirun")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*names), dirs_exist_ok=True)
    for name, text in (FILES | {"mine/my_module.py": SAWTOOTH}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run_in(lab: Path, line: str) -> str:
    """The output of a command line of the page; a training is made tiny."""
    line = f"{line} {' '.join(TINY)}" if "train.py" in line else line
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-c", line]
    result = subprocess.run(command, cwd=lab, env=env, capture_output=True, text=True, timeout=300)
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
