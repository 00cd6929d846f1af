"""The rules of the house: who may import whom, and what no file in the repository may hold."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BELOW = {"common", "data", "engine", "models", "plots", "schedulers"}
OURS = BELOW | {"runs", "scripts", "tests", "train"}

# The longest matching prefix of a file's path decides what it may import of the project.
MAY_IMPORT = {
    "common/": {"common"},
    "schedulers/": {"common", "schedulers"},
    "models/": {"common", "models"},
    "data/": {"common", "data"},
    "engine/": {"common", "engine"},
    "plots/": {"common", "plots", "schedulers"},
    "runs/": BELOW | {"runs"},
    "runs/comparison/": {"common", "plots", "runs"},  # reads files: no OneFlow, no engine
    "scripts/": BELOW | {"runs", "scripts"},
    "train.py": BELOW | {"runs"},
    "tests/": OURS,
}
NO_ONEFLOW = ("common/", "runs/comparison/", "scripts/compare.py")


def modules_of(tree):
    """Yield the modules of every import, also of those in functions and for annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "a relative name"
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # perhaps modules


def is_command_of(path, module):
    """Return whether a module belongs to the command that the file is a part of."""
    parts = Path(path).parts
    return len(parts) > 2 and module.startswith(f"scripts.{parts[1]}")


def broken_rules(path, source):
    """Return what a file (its path from the root, its text) does against the rules."""
    tree = ast.parse(source)
    modules = set(modules_of(tree))
    tops = {module.split(".")[0] for module in modules}
    place = max((prefix for prefix in MAY_IMPORT if path.startswith(prefix)), key=len, default="")
    forbidden = {"torch", "a relative name"} & tops
    forbidden |= (OURS & tops) - MAY_IMPORT.get(place, set())
    if path.startswith(NO_ONEFLOW):
        forbidden |= {"oneflow", "flowvision", "engine"} & tops
    if place == "scripts/":
        others = {m for m in modules if m.startswith("scripts.") and not is_command_of(path, m)}
        forbidden |= others
    if place == "runs/" and "/" not in path.removeprefix("runs/"):
        forbidden |= {m for m in modules if re.match(r"runs\.(sweep|comparison)\b", m)}
    broken = [f"imports {name}" for name in sorted(forbidden)]
    if any(
        isinstance(node, ast.Attribute) and node.attr == "path" and ast.unparse(node) == "sys.path"
        for node in ast.walk(tree)
    ):
        broken.append("edits sys.path")
    return broken


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("engine/trainer.py", "import oneflow.nn\nfrom engine.process import runtime", []),
        ("engine/trainer.py", "from schedulers import trace_lr", ["imports schedulers"]),
        ("engine/trainer.py", "def f():\n    import data.loader", ["imports data"]),
        ("schedulers/rex.py", "from engine.process.runtime import x", ["imports engine"]),
        ("schedulers/rex.py", "from . import build", ["imports a relative name"]),
        ("models/resnet.py", "import engine, torch.nn", ["imports engine", "imports torch"]),
        ("plots/curves.py", "from runs.build import x", ["imports runs"]),
        ("runs/resume.py", "import models, data, engine, schedulers, plots", []),
        ("runs/resume.py", "import runs.sweep.names", ["imports runs.sweep.names"]),
        ("runs/resume.py", "from runs import comparison", ["imports runs.comparison"]),
        ("runs/resume.py", "import scripts, train", ["imports scripts", "imports train"]),
        ("runs/comparison/runs.py", "import engine.events", ["imports engine"]),
        ("scripts/compare.py", "import oneflow as flow", ["imports oneflow"]),
        ("scripts/preview.py", "import scripts.models", ["imports scripts.models"]),
        ("scripts/recipes/check.py", "from scripts.recipes.read import x", []),
        ("scripts/models.py", "import train", ["imports train"]),
        ("train.py", "import sys\nsys.path.append('.')\nimport runs", ["edits sys.path"]),
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


def code_files():
    return [name for name in repository_files() if name.endswith(".py")]


def test_no_file_breaks_the_import_rules():
    names = code_files()
    assert names
    broken = {name: broken_rules(name, (ROOT / name).read_text()) for name in names}
    assert {name for name, rules in broken.items() if rules} == set()


def import_graph(sources):
    """Return for each file the files it imports, from {path: text}."""
    by_module = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in sources
    }
    graph = {}
    for path, source in sources.items():
        found = by_module.keys() & set(modules_of(ast.parse(source)))
        packages = {
            module.rpartition(".")[0] for module in found
        }  # of `from package import module`
        graph[path] = {by_module[module] for module in found - packages} - {path}
    return graph


def find_circle(graph):
    """Return the files of one circle, or an empty list."""
    done = set()

    def visit(path, above):
        if path in above:
            return above[above.index(path) :]
        if path in done:
            return []
        for other in sorted(graph[path]):
            if circle := visit(other, [*above, path]):
                return circle
        done.add(path)
        return []

    return next((circle for path in sorted(graph) if (circle := visit(path, []))), [])


@pytest.mark.parametrize(
    ("sources", "circle"),
    [
        ({"a.py": "import b", "b.py": ""}, []),
        ({"a.py": "import b", "b.py": "import a"}, ["a.py", "b.py"]),
        ({"a.py": "import b", "b.py": "def f():\n    from a import x"}, ["a.py", "b.py"]),
        ({"p/a.py": "from p import b", "p/b.py": "import p.c", "p/c.py": "import p.a"}, 3),
        ({"a.py": "import b", "b.py": "if TYPE_CHECKING:\n    import a"}, ["a.py", "b.py"]),
    ],
)
def test_circles_are_found(sources, circle):
    found = find_circle(import_graph(sources))
    assert len(found) == circle if isinstance(circle, int) else found == circle


def test_no_circle_of_imports():
    names = [name for name in code_files() if not name.startswith("tests/")]

    sources = {name: (ROOT / name).read_text() for name in names}
    assert find_circle(import_graph(sources)) == []


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
