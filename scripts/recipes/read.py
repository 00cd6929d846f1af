"""Read the published comparisons: recipes.yaml, and the headers of their experiment files."""

import shlex
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

import yaml

from common.checks import suggest
from runs.command_line import CONF


@dataclass(frozen=True)
class Arm:
    """One side of a comparison."""

    name: str
    words: tuple[str, ...]  # what follows experiment=NAME on the command line
    metric: str  # the key of summary.json that is compared: test_top1 or test_top1_swa
    published: float | None  # its value, in percent; None where none is known


@dataclass(frozen=True)
class Recipe:
    """A published comparison."""

    name: str  # of its experiment
    notes: tuple[str, ...]  # the lines of the experiment's header: a title, a command, remarks
    source: str
    figure: str  # what the published figure is, as `mean of 5 runs`
    tolerance: float | None  # how far from it a result may be, in percentage points
    hours: float | None  # of one run of the first arm
    status: str
    arms: tuple[Arm, ...]

    def command(self, arm: Arm) -> str:
        """Return what to type for an arm."""
        return shlex.join(["python", "train.py", f"experiment={self.name}", *arm.words])


@lru_cache
def read_recipes() -> dict[str, Recipe]:
    """Return all recipes by name."""
    found = {}
    for name, node in yaml.safe_load(Path(__file__).with_name("recipes.yaml").read_text()).items():
        arms = []
        for arm, entry in node.pop("arms").items():
            (metric,) = entry.keys() - {"run"}
            arms.append(Arm(arm, tuple(shlex.split(entry["run"])), metric, entry[metric]))
        # The first line of the header is for Hydra.
        lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[1:]
        header = takewhile(lambda line: line.startswith("#"), lines)
        notes = tuple(line.removeprefix("#").strip() for line in header)
        found[name] = Recipe(name, notes, arms=tuple(arms), **node)
    return found


def find_recipes(names: list[str]) -> list[Recipe]:
    """Return the recipes of these names, or all; refuse an unknown name."""
    recipes = read_recipes()
    for name in names:
        if name not in recipes:
            hint = suggest(name, recipes) or f" There are {', '.join(recipes)}."
            raise ValueError(f"{name}: expected the name of a recipe.{hint}")
    return [recipes[name] for name in names or recipes]
