"""Read the recipes of conf/experiment/."""

import difflib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runs.command_line import CONF

FIGURES = ("test_top1", "test_top1_swa", "test_top1_ema")  # of summary.json


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        words: what is typed behind experiment=NAME.
        figure: the key of summary.json that is compared.
        published: its value, in percent; None where none is at hand.
    """

    name: str
    words: list[str]
    figure: str
    published: float | None


@dataclass(frozen=True)
class Recipe:
    """A published comparison, as its file tells it; `notes` are the lines of its header."""

    name: str
    notes: list[str]
    source: str
    figure: str
    tolerance: float | None
    hours: float | None
    status: str
    arms: list[Arm]

    def command(self, arm: Arm) -> str:
        """What to type for an arm."""
        return " ".join(
            ["python train.py", f"experiment={self.name}", *map(shlex.quote, arm.words)]
        )


def read_recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    found = {}
    for path in sorted((CONF / "experiment").glob("*.yaml")):
        node = yaml.safe_load(path.read_text()).get("recipe")
        if node:
            arms = [read_arm(name, entry) for name, entry in node.pop("arms").items()]
            found[path.stem] = Recipe(path.stem, read_notes(path), arms=arms, **node)
    return found


def read_arm(name: str, entry: dict[str, Any]) -> Arm:
    """An arm from its entry, `{run: WORDS, test_top1: 77.5}`."""
    (figure,) = entry.keys() - {"run"}
    assert figure in FIGURES, f"{name}: {figure} is none of {FIGURES}"
    return Arm(name, shlex.split(entry["run"]), figure, entry[figure])


def read_notes(path: Path) -> list[str]:
    """The lines of a file's header, without the first one, which is for Hydra."""
    lines = path.read_text().splitlines()[1:]
    end = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return [line.removeprefix("#").strip() for line in lines[:end]]


def find_recipes(names: list[str]) -> list[Recipe]:
    """The recipes of these names, or all.

    Raises:
        ValueError: there is no such recipe; names the nearest.
    """
    recipes = read_recipes()
    for name in names:
        if name not in recipes:
            near = difflib.get_close_matches(name, recipes, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(recipes)}."
            raise ValueError(f"{name!r} is no recipe. {hint}")
    return [recipes[name] for name in names or recipes]
