"""Published comparisons to repeat, with what to type and the figures to expect.

    python -m scripts.recipes                       # all: figures, status
    python -m scripts.recipes cutout swa_vgg16      # what to type for each arm
    python -m scripts.recipes check multirun/SWEEP  # do these runs agree?
    python -m scripts.recipes --write               # renew docs/recipes.md

A recipe is an experiment of conf/experiment/ with published figures in
scripts/recipes/recipes.yaml. An arm is one side of its comparison.
"""

import argparse
import os
import sys
from pathlib import Path

from common.files import write_text
from runs.command_line import CONF, one_sentence
from scripts.recipes.check import check_folders
from scripts.recipes.read import Arm, Recipe, find_recipes

PAGE = CONF.parent / "docs" / "recipes.md"


def format_list(recipes: list[Recipe]) -> str:
    """Return a line for each recipe, with the lowest and the highest figure of its arms."""
    lines = [f"{'recipe':<24}{'status':<10}{'arms':>4}  published, %"]
    for recipe in recipes:
        figures = sorted(f"{arm.published:.2f}" for arm in recipe.arms if arm.published)
        ends = " to ".join(dict.fromkeys(figures[:: max(1, len(figures) - 1)])) or "none known"
        lines.append(f"{recipe.name:<24}{recipe.status:<10}{len(recipe.arms):>4}  {ends}")
    return "\n".join([*lines, "What to type for each arm: python -m scripts.recipes RECIPE"])


def format_recipe(recipe: Recipe) -> str:
    """Return a recipe with what to type for each of its arms."""
    lines = [recipe.name, f"  {recipe.notes[0]}", f"  {recipe.source}; {recipe.figure}"]
    lines.append(f"  status: {recipe.status}; hours on a GTX 1080 Ti: {recipe.hours or 'unknown'}")
    for arm in recipe.arms:
        lines += [f"  {arm.name}: {format_published(arm)}", f"    {recipe.command(arm)}"]
    return "\n".join(lines)


def format_published(arm: Arm) -> str:
    """Return the published figure of an arm."""
    if arm.published is None:
        return "none"
    return f"{arm.published:.2f}" + " with SWA" * arm.metric.endswith("_swa")


def format_page(recipes: list[Recipe]) -> str:
    """Return the text of docs/recipes.md: its introduction as it is, and all that follows."""
    head = "| recipe | source | hours | status |"
    introduction = PAGE.read_text().partition(head)[0]
    lines = [head, "|---|---|---|---|"]
    lines += [
        f"| [{r.name}](#{r.name}) | {r.source} | {r.hours or 'unknown'} | {r.status} |"
        for r in recipes
    ]
    for recipe in recipes:
        title, command, *notes = recipe.notes
        tolerance = "" if recipe.tolerance is None else f" Tolerance: {recipe.tolerance} points."
        lines += ["", f"## {recipe.name}", "", title, ""]
        lines += [f"{recipe.source}; {recipe.figure}.{tolerance}", ""]
        lines += ["```bash", command, "```", ""]
        lines += [" ".join(notes), ""] if notes else []
        lines += ["| arm | published, % | command |", "|---|---|---|"]
        lines += [
            f"| {arm.name} | {format_published(arm)} | `{recipe.command(arm)}` |"
            for arm in recipe.arms
        ]
    return introduction + "\n".join([*lines, ""])


def main(words: list[str] | None = None) -> None:
    """List, write, or check what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.recipes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="RECIPE", help="none: all; or: check FOLDER...")
    parser.add_argument("--write", action="store_true", help="renew docs/recipes.md")
    options = parser.parse_args(words)
    with one_sentence((ValueError, OSError)):
        if options.names[:1] == ["check"]:
            sys.exit(check_folders([Path(name) for name in options.names[1:]]))
        recipes = find_recipes(options.names)
        if options.write:
            write_text(PAGE, format_page(find_recipes([])))
            print(f"Written: {os.path.relpath(PAGE)}")
        elif options.names:
            print("\n\n".join(map(format_recipe, recipes)))
        else:
            print(format_list(recipes))


if __name__ == "__main__":
    main()
