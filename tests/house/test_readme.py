"""README.md and its Chinese twin say the same, and every command in them works.

The fast tests compose each command, or ask its program for help; `make test-full` runs those that
need no network, no container and no server in a copy of the repository, with few steps.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from runs.build import base_lrs, build_horizon
from schedulers import trace_lr
from tests.conftest import ROOT, TINY
from tests.helpers.studies import write_complete_run
from tests.house.test_docs import anchors, links

DOCS_FOLDER = ROOT / "docs"
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("datasets/*.md")])
PROGRAMS = {"train.py": "config", "scripts.preview": "preview"}
PROGRAMS["scripts.lr_range_test.__main__"] = "lr_range_test"
LAUNCHER = "oneflow.distributed.launch"


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.S | re.M)


def commands(path: Path) -> list[str]:
    """The command lines of a page, without the remarks behind them."""
    lines = "".join(blocks(path, "bash")).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines]


COMMANDS = commands(ENGLISH)


# --- both languages -----------------------------------------------------------------------------


def test_both_languages_show_the_same():
    assert len(COMMANDS) > 25
    assert commands(CHINESE) == COMMANDS
    assert blocks(CHINESE, "python") == blocks(ENGLISH, "python")
    sections, chinese = (re.findall("^## ", path.read_text(), re.M) for path in (ENGLISH, CHINESE))
    assert len(chinese) == len(sections)
    inside = [{link.replace(".zh-CN", "") for link in links(path.read_text())} for path in TWINS]
    assert inside[0] | {"README.md"} == inside[1] | {"README.md"}


def test_the_chinese_page_on_adding_a_schedule_has_the_same_files_and_commands():
    pages = DOCS_FOLDER / "add-your-own.md", DOCS_FOLDER / "add-your-own.zh-CN.md"
    for language in ("python", "yaml", "bash"):
        assert blocks(pages[0], language) == blocks(pages[1], language) != []
    names = [re.findall(r"`([\w./-]+\.(?:py|yaml))`", page.read_text()) for page in pages]
    assert names[0] == names[1]


def test_both_languages_have_the_same_tables():
    rows = [re.findall(r"^\|.*$", path.read_text(), re.M) for path in TWINS]
    code = [[sorted(re.findall(r"`[^`<]+`", row)) for row in table] for table in rows]
    assert code[0] == code[1]


TWINS = (ENGLISH, CHINESE)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_every_page_lead_somewhere(path):
    for link in links(path.read_text()):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if "://" not in link:
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


# --- the commands -------------------------------------------------------------------------------


def is_python(line: str) -> bool:
    """Whether a line runs a program of this project; its first word may be an environment's."""
    words = shlex.split(line)
    return Path(words[0]).name == "python" and words[1:3] != ["-m", "pytest"]


def program(line: str) -> tuple[str, list[str]]:
    """The program of a Python line, as PROGRAMS names it, and its arguments."""
    words = shlex.split(line)[1:]
    if words[:2] == ["-m", LAUNCHER]:  # it starts the program that follows its own options
        words = words[words.index("train.py") :]
    return (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])


PYTHON = [line for line in COMMANDS if is_python(line)]
SWEEPS = [line for line in PYTHON if program(line)[1][:1] == ["-m"]]
COMPOSED = [line for line in PYTHON if program(line)[0] in PROGRAMS and line not in SWEEPS]
OTHERS = [line for line in PYTHON if program(line)[0] not in PROGRAMS]
MAKE = [line for line in COMMANDS if line.startswith("make ")]
DOCKER = [line for line in COMMANDS if line.startswith("docker run")]
UNSEEN = ("source .venv/bin/activate", "tensorboard --logdir outputs", "docker build -t lr-lab .")


def test_no_command_is_forgotten():
    rest = set(COMMANDS) - set(COMPOSED) - set(SWEEPS) - set(OTHERS) - set(MAKE) - set(DOCKER)
    install = {line for line in rest if "requirements.txt" in line or "venv .venv" in line}
    assert rest - install - {line for line in rest if "-m pytest" in line} <= set(UNSEEN)
    for line in install:
        files = [word.rpartition("=")[2] for word in line.split() if word.endswith(".txt")]
        assert all((ROOT / file).is_file() for file in files)


def tour_lines() -> list[str]:
    """The trainings of the tour that are single runs from step 0."""
    lines = re.findall(r"`(python train\.py [^`]+)`", (DOCS_FOLDER / "tour.md").read_text())
    return [line for line in lines if not re.search(" -m | resume=| fork=", line)]


@pytest.mark.parametrize("line", tour_lines())
def test_a_command_of_the_tour_composes(line):
    check_curve(compose_line(*program(line)))


def compose_line(name: str, words: list[str]):
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return compose(PROGRAMS[name], words)


def check_curve(config) -> None:
    horizon = build_horizon(config)
    (rates, *_) = trace_lr(config.scheduler, base_lrs(config), horizon)
    assert len(rates) == horizon.total_steps


@pytest.mark.parametrize("line", COMPOSED)
def test_a_command_composes_and_has_a_curve(line):
    name, words = program(line)
    config = compose_line(name, words)
    if name == "train.py":
        check_curve(config)


@pytest.mark.parametrize("line", DOCKER)
def test_a_container_trains_with_its_folders_outside(line):
    words = shlex.split(line)
    start = words.index("lr-lab") + 1
    dockerfile = (ROOT / "Dockerfile").read_text()
    for place in re.findall(r"-v \S+?:(\S+)", line):
        assert f'"{place}"' in re.search(r"VOLUME (.*)", dockerfile)[1]
    check_curve(compose_line(words[start], words[start + 1 :]))


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_the_makefile_has_the_commands():
    for line in MAKE:
        done = subprocess.run([*line.split(), "-n"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def run_line(folder: Path, line: str, *more: str) -> str:
    """What a Python line prints, run in a folder by this Python."""
    words = [sys.executable, *shlex.split(line)[1:], *more]
    env = os.environ | {"HYDRA_FULL_ERROR": "0"}
    done = subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("module", sorted({program(line)[0] for line in OTHERS}))
def test_the_other_programs_say_what_they_do(module):
    assert f"python -m {module}" in run_line(ROOT, f"python -m {module} --help")


# --- all of them, run ---------------------------------------------------------------------------

SHORT = [word for word in TINY if not word.startswith("epochs")] + ["max_steps=4", "lint=off"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """A copy of the repository with a run, a sweep of two jobs and what a recipe would leave."""
    folder = tmp_path_factory.mktemp("lab")
    skip = shutil.ignore_patterns(".*", "outputs", "multirun", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=skip, dirs_exist_ok=True)
    long = [*SHORT[:-2], "epochs=24", "trainer.keep_last=1000", "hydra.run.dir=outputs/RUN"]
    run_line(folder, "python train.py scheduler=linear", *long)
    place = "hydra.sweep.dir='multirun/experiment=quickstart'"
    run_line(folder, "python train.py -m scheduler=step,linear seed=0", *SHORT, place)
    write_complete_run(folder / "multirun/experiment=cutout/seed=0", "experiment=cutout")
    return folder


@pytest.mark.full
@pytest.mark.parametrize("line", [*COMPOSED, *SWEEPS, *OTHERS])
def test_a_command_runs(lab, line):
    name, words = program(line)
    if name == "scripts.explorer.page":
        return  # a server: tests/scripts/explorer/test_explorer.py
    more = []
    if name == "train.py" and not any(word.startswith(("resume=", "fork=")) for word in words):
        more = [*SHORT, *(["dry_run=true"] if "-m" in words else [])]
    if name == "scripts.lr_range_test.__main__":
        more = [word for word in SHORT if word.startswith(("dataset", "batch"))]
        more += ["range_test.steps=20", "device=cpu"]
    run_line(lab, line, *more)


@pytest.mark.full
def test_the_weights_are_read_as_shown(lab):
    (block,) = blocks(ENGLISH, "python")
    done = subprocess.run([sys.executable, "-c", block], cwd=lab, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
