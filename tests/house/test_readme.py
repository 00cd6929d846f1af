"""The pages' links lead somewhere, their commands work, and both READMEs show the same.

The default run composes each command; `make test-full` runs those that need no network, container
or server in a copy of the repository, with few steps.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from runs.build import base_lrs, build_horizon
from schedulers import trace_lr
from tests.conftest import ROOT, TINY
from tests.helpers.studies import write_complete_run

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("datasets/*.md")])
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))
CONFIGS = {"train.py": "config", "scripts.preview": "preview"}
CONFIGS["scripts.lr_range_test"] = "lr_range_test"
LAUNCHER = "oneflow.distributed.launch"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def commands(text: str) -> list[str]:
    """Return the command lines of a page, without the remarks behind them."""
    return [re.sub(r"\s+# .*", "", line) for line in "".join(blocks(text, "bash")).splitlines()]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)


def anchors(path: Path) -> set[str]:
    """Return GitHub's anchors of a page's headings: lower case, hyphens for spaces."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_links_lead_somewhere():
    for path in PAGES:
        for link in links(path.read_text()):
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if "://" not in link:
                assert target.exists(), (path, link)
                assert not anchor or anchor in anchors(target), (path, link)


@pytest.mark.parametrize(
    ("first", "second"),
    [("README.md", "README.zh-CN.md"), ("docs/add-your-own.md", "docs/add-your-own.zh-CN.md")],
)
def test_both_languages_show_the_same(first, second):
    shown = []
    for text in ((ROOT / name).read_text() for name in (first, second)):
        tables = [sorted(re.findall(r"`[^`<]+`", row)) for row in re.findall(r"(?m)^\|.*$", text)]
        code = [blocks(text, language) for language in ("python", "yaml")]
        files = {link.replace(".zh-CN", "").partition("#")[0] for link in links(text)}
        files -= {"README.md", Path(first).name}
        shown.append((commands(text), code, tables, text.count("\n## "), files))
    assert shown[0] == shown[1]


# --- the commands -----------------------------------------------------------------------------

LINES = commands(ENGLISH.read_text())
IN_TOUR = re.findall(r"`((?:python|make) [^`]+)`", (ROOT / "docs/tour.md").read_text())
IN_GUIDE = commands((ROOT / "docs/schedules.md").read_text().partition("\n### ")[0])


def is_python(line: str) -> bool:
    """Return whether a line runs a program of this project; `python` may have a path."""
    words = shlex.split(line)
    return Path(words[0]).name == "python" and words[1:3] != ["-m", "pytest"]


def program(line: str) -> tuple[str, list[str]]:
    """Return the program of a Python line and its arguments; of a launcher, what it starts."""
    words = shlex.split(line)[1:]
    if words[:2] == ["-m", LAUNCHER]:
        words = words[words.index("train.py") :]
    return (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])


@lru_cache
def compose_line(line: str):
    """Return the configuration that a command line composes."""
    name, words = program(line)
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return compose(CONFIGS[name], words)


PYTHON = [line for line in dict.fromkeys([*LINES, *IN_TOUR, *IN_GUIDE]) if is_python(line)]
DOCKER = [line for line in LINES if line.startswith("docker run")]


def test_a_command_composes_and_has_a_curve():
    lines = [line for line in PYTHON if program(line)[0] in CONFIGS and " -m " not in line[10:]]
    lines += [f"python {line.partition(' lr-lab ')[2]}" for line in DOCKER]
    for line in lines:
        if "--help" in line:
            continue
        config = compose_line(line)
        if "train.py" in line:
            horizon = build_horizon(config)
            (rates, *_) = trace_lr(config.scheduler, base_lrs(config), horizon)
            assert len(rates) == horizon.total_steps, line


def test_every_other_command_exists():
    modules = {program(line)[0] for line in PYTHON} - {"train.py", "venv"}
    assert modules >= {"scripts.compare", "scripts.recipes", "scripts.models"}
    assert [module for module in modules if not find_spec(module)] == []
    for file in re.findall(r"[\w-]+\.txt", "\n".join(LINES)):
        assert (ROOT / file).is_file()


def test_the_container_has_the_folders_and_the_makefile_the_targets():
    volumes = re.search(r"VOLUME (.*)", (ROOT / "Dockerfile").read_text())[1]
    places = re.findall(r"-v \S+?:(\S+)", " ".join(DOCKER))
    assert places and all(f'"{place}"' in volumes for place in places)
    targets = re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())[1].split()
    used = {line.split()[1] for line in [*LINES, *IN_TOUR] if line.startswith("make ")}
    assert used and used <= set(targets)


# --- all of them, run -------------------------------------------------------------------------

SHORT = [word for word in TINY if not word.startswith("epochs")] + ["max_steps=4", "lint=off"]


def run_line(folder: Path, line: str, *more: str) -> None:
    words = [sys.executable, *shlex.split(line)[1:], *more]
    env = os.environ | {"HYDRA_FULL_ERROR": "0"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """A copy of the repository with a run, a sweep of two jobs and a run of a recipe."""
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
@pytest.mark.parametrize("line", [line for line in LINES if is_python(line)])
def test_a_command_runs(lab, line):
    name, words = program(line)
    if name in ("scripts.explorer", "venv"):
        return  # a server; an environment
    more = []
    if name == "train.py" and not any(word.startswith(("resume=", "fork=")) for word in words):
        more = [*SHORT, *(["dry_run=true"] if "-m" in words else [])]
    if name == "scripts.lr_range_test":
        more = [word for word in SHORT if word.startswith(("dataset", "batch"))]
        more += ["range_test.steps=20", "device=cpu"]
    run_line(lab, line, *more)


@pytest.mark.full
def test_the_weights_are_read_as_shown(lab):
    (block,) = blocks(ENGLISH.read_text(), "python")
    done = subprocess.run([sys.executable, "-c", block], cwd=lab, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
