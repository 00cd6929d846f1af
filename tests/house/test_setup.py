"""The Makefile's commands, with stand-ins for uv and Python."""

import os
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")

# Stand-in for uv: logs its arguments. `venv` makes a python that prints its arguments; `pip sync`
# fails if there is a file `offline`, and logs a .ready that was made too early.
FAKE_UV = """#!/bin/sh
echo "$1 $2" >> log
case "$1" in
  venv) mkdir -p .venv/bin
        printf '#!/bin/sh\\nfor word in "$@"; do echo "<$word>"; done\\n' > .venv/bin/python
        chmod +x .venv/bin/python ;;
  pip) test ! -e .venv/.ready || echo "ready too early" >> log
       test ! -e offline ;;
esac
"""


@pytest.fixture
def house(tmp_path):
    """A folder with the real Makefile, uv already there (the stand-in), and no environment."""
    files = ("Makefile", "requirements.txt", "requirements-uv.txt", "build-constraints.txt")
    for name in (*files, ".python-version"):
        shutil.copy(ROOT / name, tmp_path)
    write_program(tmp_path / ".tools/uv/bin/uv", FAKE_UV)
    (tmp_path / ".tools/.ready").touch()
    return tmp_path


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(folder, *words):
    """Run make; return the exit code, its output and the calls of uv."""
    (folder / "log").write_text("")
    # What is set by a `make test ARGS=...` around this test must not reach the inner make.
    outer = {"ARGS", "LOGDIR", "PYTHON", "PY310", "MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL"}
    env = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(["make", *words], cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr, (folder / "log").read_text().split("\n")[:-1]


def test_help_is_the_default_lists_every_target_and_fits_80_columns(house):
    code, output, asked = make(house)
    targets = re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())[1].split()
    assert (code, asked) == (0, [])
    assert re.findall(r"(?m)^  ([a-z-]+) +\S", output) == targets
    assert max(map(len, output.splitlines())) <= 80


def test_environment_is_made_once_and_synced_when_the_lock_changes(house):
    (house / "offline").touch()
    assert make(house, "setup")[0] != 0
    (house / "offline").unlink()
    assert make(house, "setup")[2] == ["venv --quiet", "pip sync"]  # an unfinished one is made anew
    assert make(house, "setup")[2] == []
    later = (house / ".venv/.ready").stat().st_mtime + 10
    os.utime(house / "requirements.txt", (later, later))
    assert make(house, "setup")[2] == ["pip sync"]


def test_arguments_reach_python(house):
    make(house, "setup")
    tests = ["-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile"]
    for words, arguments in (
        (["train"], ["train.py", "experiment=quickstart"]),
        (["train", "ARGS=scheduler=step 'epochs=3'"], ["train.py", "scheduler=step", "epochs=3"]),
        (["train", "ARGS='a=${seed}'"], ["train.py", "a=${seed}"]),
        (["test"], tests),
        (["test", 'ARGS=-k "a or b"'], [*tests, "-k", "a or b"]),
    ):
        code, output, _ = make(house, *words)
        assert (code, re.findall("<(.*)>", output)) == (0, arguments)


def test_tensorboard_and_lint_name_what_is_wrong(house):
    make(house, "setup")
    code, output, _ = make(house, "tensorboard", "LOGDIR=nowhere")
    assert code != 0 and "There is no folder nowhere yet" in output
    (house / "nowhere").mkdir()
    assert "<nowhere>\n<--host>\n<127.0.0.1>" in make(house, "tensorboard", "LOGDIR=nowhere")[1]
    write_program(house / ".venv/bin/ruff", "#!/bin/sh\nexit 1\n")
    write_program(house / ".venv/bin/hadolint", "#!/bin/sh\nexit 0\n")
    code, output, _ = make(house, "lint")
    assert code != 0
    assert "lint failed: ruff check, ruff format (run make format)\n" in output


def test_clean_keeps_runs_and_data(house):
    make(house, "setup")
    for name in ("outputs", "datasets", "__pycache__", ".mypy_cache"):
        (house / name).mkdir()
    assert make(house, "clean")[0] == 0
    assert {path.name for path in house.iterdir() if path.is_dir()} == {"outputs", "datasets"}
