"""Read the published comparisons: recipes.yaml, and the headers of their experiment files."""

import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from common.checks import suggest
from runs.command_line import CONF


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        words: what follows experiment=NAME on the command line.
        metric: the key of summary.json that is compared: test_top1 or test_top1_swa.
        published: its value, in percent; None where none is known.
    """

    name: str
    words: list[str]
    metric: str
    published: float | None


@dataclass(frozen=True)
class Recipe:
    """A published comparison.

    Attributes:
        name: of its experiment.
        notes: the lines of the experiment's header: a title, a command, then remarks.
        figure: what the published figure is, as `mean of 5 runs`.
        tolerance: how far from it a result may be, in percentage points.
        hours: of one run of the first arm.
    """

    name: str
    notes: list[str]
    source: str
    figure: str
    tolerance: float | None
    hours: float | None
    status: str
    arms: list[Arm]

    def command(self, arm: Arm) -> str:
        """Return what to type for an arm."""
        return shlex.join(["python", "train.py", f"experiment={self.name}", *arm.words])


@lru_cache
def read_recipes() -> dict[str, Recipe]:
    """Return all recipes by name."""
    found = {}
    for name, node in yaml.safe_load(Path(__file__).with_name("recipes.yaml").read_text()).items():
        arms = [_read_arm(arm, entry) for arm, entry in node.pop("arms").items()]
        found[name] = Recipe(name, _read_notes(name), arms=arms, **node)
    return found


def _read_arm(name: str, entry: dict[str, Any]) -> Arm:
    (metric,) = entry.keys() - {"run"}
    return Arm(name, shlex.split(entry["run"]), metric, entry[metric])


def _read_notes(name: str) -> list[str]:
    """Return the lines of an experiment's header, without the first one, which is for Hydra."""
    lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[1:]
    end = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return [line.removeprefix("#").strip() for line in lines[:end]]


def find_recipes(names: list[str]) -> list[Recipe]:
    """Return the recipes of these names, or all.

    Raises:
        ValueError: there is no such recipe.
    """
    recipes = read_recipes()
    for name in names:
        if name not in recipes:
            hint = suggest(name, recipes) or f" There are {', '.join(recipes)}."
            raise ValueError(f"{name}: expected the name of a recipe.{hint}")
    return [recipes[name] for name in names or recipes]
