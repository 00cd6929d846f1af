"""Published comparisons to repeat: the files of conf/experiment/ that have a `recipe`.

    python -m scripts.recipes                        # all: source, figure, status
    python -m scripts.recipes cutout swa_vgg16       # these: what to type for each arm
    python -m scripts.recipes check multirun/SWEEP   # does a run, or a mean over seeds, agree?
    python -m scripts.recipes --write                # docs/recipes.md, from the files

An arm is one side of a comparison: what is typed behind `experiment=NAME`, and its figure.
"""

import argparse
import os
import sys
from pathlib import Path

from runs.command_line import CONF
from scripts.recipes.check import check_folders
from scripts.recipes.read import Arm, Recipe, find_recipes

PAGE = CONF.parent / "docs" / "recipes.md"
INTRODUCTION = """\
# Recipes

Published comparisons of schedules, each with its settings in one file of `conf/experiment/`. This
page is made of those files by `python -m scripts.recipes --write`.

**None of the figures was reached or missed here: a recipe's status is `not run` until somebody has
run it on a GPU.** In CI each recipe is composed and takes three steps on a CPU.

```bash
python -m scripts.recipes                        # the list
python train.py -m experiment=cutout seed=0,1,2  # the first arm of one, with three seeds
python -m scripts.recipes check multirun         # compare what has been run with what was published
```

`check` takes a run, or a folder of runs at any depth; runs of an arm that differ in the seed are
averaged. It says `reproduced` where the mean is within the tolerance of the published figure, and
else by how much it is off. It refuses runs that are not complete, and runs whose settings are not
the recipe's: other epochs, fewer images, another model.

What is the same in all of them: training is on all 50,000 images (`dataset.val_size=0`), so there
is no validation and nothing is selected; the figure is the test accuracy in percent at the **last**
step. Learning rates change at every step, also where the source changes them once an epoch.

Hours are those of one run of the first arm on a GTX 1080 Ti, estimated: WRN-28-10 takes 6 h 35 min
for 200 epochs there (hysts/pytorch_image_classification, in PyTorch), and the others by their
multiply-adds (`python -m scripts.models`) and images. Nothing was measured with OneFlow. Small nets
of many layers take longer than that rule says; for them it says unknown.
"""


def tell_list(recipes: list[Recipe]) -> str:
    """One line for each recipe, with the lowest and the highest figure of its arms."""
    lines = [f"{'recipe':<24}{'status':<10}{'arms':>4}  published, %"]
    for recipe in recipes:
        figures = [arm.published for arm in recipe.arms if arm.published is not None]
        ends = dict.fromkeys(f"{end(figures):.2f}" for end in (min, max) if figures)
        told = " to ".join(ends) or "none at hand"
        lines.append(f"{recipe.name:<24}{recipe.status:<10}{len(recipe.arms):>4}  {told}")
    return "\n".join([*lines, "What to type for each arm: python -m scripts.recipes RECIPE"])


def tell_recipe(recipe: Recipe) -> str:
    """A recipe with what to type for each of its arms."""
    lines = [recipe.name, f"  {recipe.notes[0]}", f"  {recipe.source}; {recipe.figure}"]
    lines.append(f"  status: {recipe.status}; hours on a GTX 1080 Ti: {recipe.hours or 'unknown'}")
    for arm in recipe.arms:
        lines += [f"  {arm.name}: {tell_published(arm)}", f"    {recipe.command(arm)}"]
    return "\n".join(lines)


def tell_published(arm: Arm) -> str:
    """The published figure of an arm."""
    if arm.published is None:
        return "none"
    return f"{arm.published:.2f}" + " with SWA" * arm.figure.endswith("_swa")


def write_page(recipes: list[Recipe]) -> str:
    """The text of docs/recipes.md."""
    rows = [
        f"| [{r.name}](#{r.name}) | {r.source} | {r.hours or 'unknown'} | {r.status} |"
        for r in recipes
    ]
    table = ["| recipe | source | hours | status |", "|---|---|---|---|", *rows]
    sections = [section(recipe) for recipe in recipes]
    return "\n".join([INTRODUCTION, *table, "", *sections])


def section(recipe: Recipe) -> str:
    """A recipe's part of the page."""
    title, command, *notes = recipe.notes
    tolerance = "" if recipe.tolerance is None else f" Tolerance: {recipe.tolerance} points."
    rows = [
        f"| {arm.name} | {tell_published(arm)} | `{recipe.command(arm)}` |" for arm in recipe.arms
    ]
    return "\n".join(
        [
            f"## {recipe.name}\n",
            f"{title}\n",
            f"{recipe.source}; {recipe.figure}.{tolerance}\n",
            f"```bash\n{command}\n```\n",
            *([" ".join(notes) + "\n"] if notes else []),
            "| arm | published, % | command |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """List, write, or check what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="RECIPE", help="none: all; or: check FOLDER...")
    parser.add_argument("--write", action="store_true", help="write docs/recipes.md")
    options = parser.parse_args()
    try:
        if options.names[:1] == ["check"]:
            sys.exit(check_folders([Path(name) for name in options.names[1:]]))
        recipes = find_recipes(options.names)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if options.write:
        PAGE.write_text(write_page(find_recipes([])))
        print(f"Written: {os.path.relpath(PAGE)}")
    else:
        print("\n\n".join(map(tell_recipe, recipes)) if options.names else tell_list(recipes))


if __name__ == "__main__":
    main()
