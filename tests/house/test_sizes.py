"""How large things may be, and which files may use private names of the libraries."""

import ast
from collections import Counter
from pathlib import PurePosixPath

from tests.house.test_imports import ROOT, code_files

LONGEST_FUNCTION, LONGEST_FILE, MOST_FILES = 40, 300, 10
MACHINERY = ("common", "engine", "engine/process", "plots", "runs", "runs/sweep", "runs/comparison")
# Files that need something that Hydra or OneFlow does not offer in public.
USE_PRIVATE_NAMES = {
    "engine/graph.py",
    "engine/process/ranks.py",
    "runs/sweep/plan.py",
    "scripts/benchmark/measure.py",
    "scripts/explorer/bridge.py",
}


def product_files():
    return [name for name in code_files() if not name.startswith("tests/")]


def functions_of(source):
    """Yield (name, number of lines) of every function, without its decorators."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def private_names(source):
    """Return the private modules of Hydra and OneFlow that the code uses."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import):
            modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            top = modules[0] or modules[1]
            if top.split(".")[0] in ("hydra", "oneflow"):
                parts = [part for module in modules for part in module.split(".")]
                found |= {p for p in parts if p in ("_internal", "_C", "_oneflow_internal")}
                found |= {p for p in parts if p.startswith("_broadcast")}
        elif isinstance(node, ast.Attribute) and node.attr in ("_C", "_oneflow_internal"):
            found.add(node.attr)
    return found


def test_private_names_are_found():
    assert private_names("from hydra._internal.core_plugins import x") == {"_internal"}
    assert private_names("import oneflow as flow\nflow._C.add(self._name)") == {"_C"}


def test_private_names_stand_in_few_files():
    using = {name for name in product_files() if private_names((ROOT / name).read_text())}
    assert using == USE_PRIVATE_NAMES


def test_no_function_is_too_long():
    long = [
        (name, function, lines)
        for name in product_files()
        for function, lines in functions_of((ROOT / name).read_text())
        if lines > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_file_is_too_long():
    lengths = {name: (ROOT / name).read_text().count("\n") for name in code_files()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_folder_of_machinery_holds_too_many_files():
    counts = Counter(
        str(path.parent)
        for path in map(PurePosixPath, product_files())
        if path.name != "__init__.py"
    )
    assert {folder: counts[folder] for folder in MACHINERY if counts[folder] > MOST_FILES} == {}
    assert counts["scripts"] <= MOST_FILES
