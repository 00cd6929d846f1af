"""The rules of the house: who may import whom, and what no file in the repository may hold."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"engine", "models", "data", "schedulers", "scripts", "train", "tests"}

# What the Python files of a folder may import of the project itself (None: anything).
MAY_IMPORT = {
    "schedulers": {"schedulers"},
    "models": {"models"},
    "data": {"data"},
    "engine": {"engine"},
    "scripts": {"engine", "models", "data", "schedulers", "scripts", "train"},
    "tests": None,
}
READS_FILES_ONLY = ("scripts/compare.py", "scripts/comparison/")  # neither OneFlow nor engine


def imported(tree):
    """Yield the first name of every module that the code imports, whatever the form."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level > 1:
            yield "a package above its own"


def touches_sys_path(tree):
    return any(
        isinstance(node, ast.Attribute) and node.attr == "path" and ast.unparse(node) == "sys.path"
        for node in ast.walk(tree)
    )


def broken_rules(path, source):
    """Return what the file (its path from the root, its text) does against the rules."""
    tree = ast.parse(source)
    names = set(imported(tree))
    forbidden = names & {"torch", "a package above its own"}
    allowed = MAY_IMPORT.get(path.split("/")[0], OURS - {"tests"})
    if allowed is not None:
        forbidden |= (names & OURS) - allowed
    if path.startswith(READS_FILES_ONLY):
        forbidden |= names & {"oneflow", "flowvision", "engine"}
    broken = [f"imports {name}" for name in sorted(forbidden)]
    return broken + (["edits sys.path"] if touches_sys_path(tree) else [])


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("engine/trainer.py", "import oneflow.nn\nfrom engine import runtime", []),
        ("engine/trainer.py", "from schedulers import trace_lr", ["imports schedulers"]),
        ("engine/trainer.py", "def f():\n    import data.loader", ["imports data"]),
        ("schedulers/rex.py", "from schedulers.build import Horizon\nimport oneflow", []),
        ("schedulers/rex.py", "from engine.runtime import x", ["imports engine"]),
        ("schedulers/rex.py", "from . import build", []),
        ("schedulers/rex.py", "from .. import models", ["imports a package above its own"]),
        ("models/resnet.py", "import engine, schedulers", ["imports engine", "imports schedulers"]),
        ("data/cifar.py", "import numpy\nimport torch.nn", ["imports torch"]),
        ("train.py", "import models, data, engine, schedulers", []),
        ("train.py", "import sys\nsys.path.append('.')", ["edits sys.path"]),
        ("scripts/compare.py", "from scripts import plots", []),
        ("scripts/compare.py", "import oneflow as flow", ["imports oneflow"]),
        ("scripts/comparison/runs.py", "import engine.events", ["imports engine"]),
        ("tests/test_x.py", "import engine, scripts\nimport os.path", []),
    ],
)
def test_broken_rules_are_found(path, source, broken):
    assert broken_rules(path, source) == broken


def repository_files():
    """List the files that are or would be committed, as paths from the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    return [name for name in listing.stdout.split("\0") if (ROOT / name).is_file()]


def test_no_file_breaks_the_import_rules():
    names = [name for name in repository_files() if name.endswith(".py")]
    assert names
    broken = {name: broken_rules(name, (ROOT / name).read_text()) for name in names}
    assert {name: rules for name, rules in broken.items() if rules} == {}


# Written in parts, so that this file does not hold what it looks for.
HOSTS = re.compile(
    "|".join(["pypi" + r"\.org", "python" + "hosted", r"deb\." + "debian", "npm" + "js"])
)
PLACES = re.compile(r"(?<![\w.])/" + r"(?:(?:root|home|work|farm)\b|tmp/[a-z])[/\w.-]*")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (HOSTS, "--index-url https://" + "pypi" + ".org/simple", True),
        (HOSTS, "https://www.cs.toronto.edu/~kriz/cifar.html", False),
        (PLACES, "cd /" + "root/lab", True),
        (PLACES, "root: '/" + "home/me/data'", True),
        (PLACES, "open('/" + "tmp/lab.json')", True),
        (PLACES, "docs/" + "work/x, ${x}" + "/app/outputs, /tmp", False),
    ],
)
def test_hosts_and_places_are_found(pattern, text, found):
    assert bool(pattern.search(text)) == found


def test_no_file_names_a_registry_or_a_place_on_one_machine():
    found = []
    for name in repository_files():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an archive
        for pattern in (HOSTS, PLACES):
            found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []
