"""Compare finished runs with the published figure of the recipe that they follow."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from runs.command_line import CONF
from runs.comparison.runs import Run, find_runs, flatten, read_run
from runs.overrides import CHANGES_NO_RESULT
from scripts.recipes.read import Arm, Recipe, read_recipes

# What runs of one arm may differ in. Nothing is selected, so evaluations change nothing.
FREE = {*CHANGES_NO_RESULT, "seed", "trainer.eval_every"}
MOST_DIFFERENCES = 4


class Refused(ValueError):
    """A run cannot be compared; the message says why."""


def check_folders(folders: Sequence[Path]) -> int:
    """Print what runs say of their recipes, arm by arm.

    Returns:
        The exit code: 1 where nothing could be compared.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it.
        ValueError: no folder is given.
    """
    if not folders:
        raise ValueError("check: name a run folder, or a folder that has some in it.")
    runs = [read_run(folder) for folder in find_runs(folders)]
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    found: dict[tuple[str, str], tuple[Recipe, Arm]] = {}
    for run in runs:
        try:
            recipe, arm = find_arm(run)
        except Refused as refusal:
            print(f"{run.folder.name}: {refusal}")
            continue
        groups[recipe.name, arm.name].append(run)
        found[recipe.name, arm.name] = recipe, arm
    for key, group in groups.items():
        print(judge(*found[key], group))
    return 0 if groups else 1


def find_arm(run: Run) -> tuple[Recipe, Arm]:
    """The recipe and the arm that a run follows.

    Raises:
        Refused: it is not complete, follows none, or there is nothing to compare it with.
    """
    if run.problem:
        raise Refused(f"not compared, for it is {run.status}: {run.problem}.")
    if run.summary.get("lr_check", {}).get("mismatches"):
        raise Refused("not compared, for its learning rates were not those of its preview.")
    recipe = find_recipe(run)
    differences = {arm.name: compare(run, recipe, arm) for arm in recipe.arms}
    arm = min(recipe.arms, key=lambda arm: len(differences[arm.name]))
    if told := differences[arm.name]:
        more = f" and {len(told) - MOST_DIFFERENCES} more" if len(told) > MOST_DIFFERENCES else ""
        raise Refused(
            f"not compared, for it is not experiment={recipe.name} as it is published; from the "
            f"nearest arm, {arm.name}, it differs in {', '.join(told[:MOST_DIFFERENCES])}{more}."
        )
    if arm.published is None:
        raise Refused(
            f"it follows {recipe.name}, {arm.name}, for which no published figure is at hand; its "
            f"own is {run.summary['test_top1']:.2f} %."
        )
    if arm.figure not in run.summary:
        raise Refused(f"not compared, for its summary.json has no {arm.figure}.")
    return recipe, arm


def find_recipe(run: Run) -> Recipe:
    """The recipe that a run's command line names.

    Raises:
        Refused: it names none.
    """
    words = [word.partition("=")[2] for word in run.command if word.startswith("experiment=")]
    recipes = read_recipes()
    if not words:
        raise Refused("not compared, for its command line has no experiment=RECIPE.")
    if words[-1] not in recipes:
        raise Refused(f"not compared, for experiment={words[-1]} is no recipe.")
    return recipes[words[-1]]


def compare(run: Run, recipe: Recipe, arm: Arm) -> list[str]:
    """In what a run's settings differ from an arm's, as `epochs (2 for 200)`."""
    wanted = compose_arm(recipe.name, tuple(arm.words))
    return [
        f"{key} ({run.settings.get(key)} for {wanted.get(key)})"
        for key in sorted(wanted.keys() | run.settings.keys())
        if key not in FREE
        and not key.startswith("recipe.")
        and run.settings.get(key) != wanted.get(key)
    ]


@lru_cache
def compose_arm(name: str, words: tuple[str, ...]) -> dict[str, Any]:
    """The settings of an arm, as `runs.comparison.runs` reads those of a run."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF), job_name="recipes"):
        config = compose("config", [f"experiment={name}", *words])
    return flatten(OmegaConf.to_container(config, resolve=True))


def judge(recipe: Recipe, arm: Arm, runs: Sequence[Run]) -> str:
    """Whether the mean of these runs is the published figure, in a sentence."""
    assert arm.published is not None and recipe.tolerance is not None
    values = [run.summary[arm.figure] for run in runs]
    spread = f", standard deviation {stdev(values):.2f}" if len(values) > 1 else ""
    # As it is shown, so that what reads 0.50 is not beyond a tolerance of 0.5.
    found, key = mean(values), f"{recipe.name}, {arm.name}"
    difference = round(found - arm.published, 2)
    verdict = "reproduced" if abs(difference) <= recipe.tolerance else f"off by {difference:+.2f}"
    return (
        f"{key}: {arm.figure} {found:.2f} % (n = {len(values)}{spread}); "
        f"published {arm.published:.2f} ({recipe.figure}), tolerance {recipe.tolerance}: {verdict}"
    )
