"""Measure what the harness costs, as ratios inside one run.

    python -m scripts.benchmark                 # everything, about 10 minutes
    python -m scripts.benchmark trainer loader  # only these sections
    python -m scripts.benchmark startup --cifar100 datasets
    python -m scripts.benchmark peers --torch-python ../peers/bin/python

Two ways of doing one thing are timed alternately (a b b a ...). The figure is the median of the
ratios, with the lowest and the highest. Writes `benchmark.json` and prints a Markdown table, as in
docs/performance.md.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import argparse
import importlib
import json
import statistics
from pathlib import Path

from common.files import write_text
from scripts.benchmark.measure import format_row

# Each is a module of this folder, whose `measure` yields (name, unit, values of the turns).
SECTIONS = {
    "loader": "images per second, against flowvision in OneFlow's DataLoader",
    "trainer": "the Trainer's step against a bare step; recording a step",
    "graph": "a compiled step against an eager one",
    "startup": "from the start of the process to the first step",
    "peers": "the same models in PyTorch; needs --torch-python",
}


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options of this command line; without sections, all that can be measured."""
    sections = "\n".join(f"  {name:<9}{text}" for name, text in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark",
        description=f"{__doc__.splitlines()[0]}\n\nsections:\n{sections}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="default: all of them")
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"), help="file to write")
    parser.add_argument("--cifar100", metavar="FOLDER", help="folder with CIFAR-100")
    parser.add_argument(
        "--torch-python", metavar="PYTHON", help="of another environment, with torch"
    )
    parser.add_argument("--quick", action="store_true", help="one turn of each, to see it work")
    options = parser.parse_args(words)
    for name in options.sections:
        if name not in SECTIONS:
            parser.error(f"unknown section {name!r}: choose from {', '.join(SECTIONS)}")
    if "peers" in options.sections and not options.torch_python:
        parser.error("the section peers needs --torch-python PYTHON: see docs/performance.md")
    possible = [name for name in SECTIONS if name != "peers" or options.torch_python]
    options.sections = options.sections or possible
    return options


def main() -> None:
    """Measure the chosen sections, print their table and write their figures."""
    from engine.process import runtime
    from engine.process.machine import hardware

    options = read_arguments()
    figures = []
    print(f"{hardware()}, kernel {runtime.blas_kernel()}\n")
    print("| figure | median | lowest - highest | n |\n| --- | --- | --- | --- |")
    for section in options.sections:
        module = importlib.import_module(f"scripts.benchmark.{section}")
        for name, unit, values in module.measure(options):
            found = {"name": name, "unit": unit, "median": statistics.median(values)}
            found |= {"low": min(values), "high": max(values), "n": len(values)}
            print(format_row(**found), flush=True)
            figures.append({"section": section, **found})
    report = {"hardware": hardware(), "figures": figures}
    write_text(options.out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
