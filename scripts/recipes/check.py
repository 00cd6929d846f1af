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
from runs.comparison.runs import Run, clean_settings, find_runs, read_run
from runs.overrides import CHANGES_NO_RESULT
from scripts.recipes.read import Arm, Recipe, read_recipes

# What runs of one arm may differ in. Nothing is selected, so evaluations change nothing.
FREE = {*CHANGES_NO_RESULT, "seed", "trainer.eval_every"}
MOST_DIFFERENCES = 4


def check_folders(folders: Sequence[Path]) -> int:
    """Print how the runs in these folders compare with the published figures, arm by arm.

    Return the exit code: 1 if nothing could be compared.
    """
    if not folders:
        raise ValueError("check: expected a run folder, or a folder that has some in it.")
    found: dict[tuple[Recipe, Arm], list[float]] = defaultdict(list)
    for run in map(read_run, find_runs(folders)):
        try:
            recipe, arm = find_arm(run)
            found[recipe, arm].append(run.summary[arm.metric])
        except ValueError as reason:
            print(f"{run.folder.name}: not compared: {reason}")
    for (recipe, arm), values in found.items():
        print(judge(recipe, arm, values))
    return 0 if found else 1


def find_arm(run: Run) -> tuple[Recipe, Arm]:
    """Return the recipe and the arm that a run follows.

    Raises:
        ValueError: the run is not complete, follows none, or has nothing to be compared with.
    """
    if run.problem:
        raise ValueError(f"{run.status}: {run.problem}.")
    if run.summary.get("lr_check", {}).get("mismatches"):
        raise ValueError("its learning rates were not those of its preview.")
    names = [word.partition("=")[2] for word in run.command if word.startswith("experiment=")]
    if not names:
        raise ValueError("its command line has no experiment=RECIPE.")
    recipe = read_recipes().get(names[-1])
    if recipe is None:
        raise ValueError(f"experiment={names[-1]} is not a recipe.")
    differences = {arm: compare(run, recipe, arm) for arm in recipe.arms}
    arm = min(recipe.arms, key=lambda arm: len(differences[arm]))
    if found := differences[arm]:
        more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
        raise ValueError(
            f"its settings are not those of experiment={recipe.name}. It differs from the nearest "
            f"arm, {arm.name}, in {', '.join(found[:MOST_DIFFERENCES])}{more}."
        )
    if arm.metric not in run.summary:
        raise ValueError(f"its summary.json has no {arm.metric}.")
    if arm.published is None:
        result = f"{run.summary[arm.metric]:.2f} %"
        raise ValueError(
            f"{recipe.name}, {arm.name} has no published figure; the run has {result}."
        )
    return recipe, arm


def compare(run: Run, recipe: Recipe, arm: Arm) -> list[str]:
    """Return how a run's settings differ from an arm's, as `epochs (2 instead of 200)`."""
    wanted = compose_arm(recipe.name, arm.words)
    pairs = {key: (run.settings.get(key), wanted.get(key)) for key in wanted | run.settings}
    return [
        f"{key} ({has} instead of {expected})"
        for key, (has, expected) in sorted(pairs.items())
        if key not in FREE and str(has) != str(expected)
    ]


@lru_cache
def compose_arm(name: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of an arm by dotted key."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF), job_name="recipes"):
        config = compose("config", [f"experiment={name}", *words])
    OmegaConf.resolve(config)
    return clean_settings(config)


def judge(recipe: Recipe, arm: Arm, values: Sequence[float]) -> str:
    """Return a sentence on whether the mean of these results is the published figure."""
    assert arm.published is not None and recipe.tolerance is not None
    spread = f", standard deviation {stdev(values):.2f}" if len(values) > 1 else ""
    difference = round(mean(values) - arm.published, 2)  # as it is shown
    verdict = "reproduced" if abs(difference) <= recipe.tolerance else f"off by {difference:+.2f}"
    return (
        f"{recipe.name}, {arm.name}: {arm.metric} {mean(values):.2f} % "
        f"(n = {len(values)}{spread}); published {arm.published:.2f} ({recipe.figure}), "
        f"tolerance {recipe.tolerance}: {verdict}"
    )
