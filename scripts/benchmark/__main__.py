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
from dataclasses import asdict
from pathlib import Path

from common.files import write_text
from scripts.benchmark.measure import Figure, Options, format_row

# Each is a module of this folder.
SECTIONS = {
    "loader": "images per second, against flowvision in OneFlow's DataLoader",
    "trainer": "the Trainer's step against a bare step; recording a step",
    "graph": "a compiled step against an eager one",
    "blas": "OpenBLAS's default kernel against the AVX2 kernel",
    "startup": "from the start of the process to the first step",
    "peers": "the same models in PyTorch; needs --torch-python",
}


def read_arguments(words: list[str] | None = None) -> tuple[list[str], Options, Path]:
    """Return the sections, the options and the file to write (None: of this command line)."""
    sections = "\n".join(f"  {name:<9}{text}" for name, text in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark",
        description=f"{__doc__.splitlines()[0]}\n\nsections:\n{sections}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="default: all of them")
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"), help="file to write")
    parser.add_argument("--cifar100", type=Path, metavar="FOLDER", help="folder with CIFAR-100")
    parser.add_argument(
        "--torch-python", type=Path, metavar="PYTHON", help="of another environment, with torch"
    )
    parser.add_argument("--quick", action="store_true", help="one turn of each, to see it work")
    arguments = parser.parse_args(words)
    for name in arguments.sections:
        if name not in SECTIONS:
            parser.error(f"unknown section {name!r}: choose from {', '.join(SECTIONS)}")
    if "peers" in arguments.sections and not arguments.torch_python:
        parser.error("the section peers needs --torch-python PYTHON: see docs/performance.md")
    names = arguments.sections or [
        name for name in SECTIONS if name != "peers" or arguments.torch_python
    ]
    cifar100 = arguments.cifar100 and arguments.cifar100.resolve()
    return names, Options(cifar100, arguments.torch_python, arguments.quick), arguments.out


def main() -> None:
    """Measure the chosen sections, print their table and write their figures."""
    from engine.process import runtime
    from engine.process.machine import hardware

    names, options, out = read_arguments()
    figures: list[Figure] = []
    print(f"{hardware()}, kernel {runtime.blas_kernel()}\n")
    print("| figure | median | lowest - highest | n |\n| --- | --- | --- | --- |")
    for name in names:
        for found in importlib.import_module(f"scripts.benchmark.{name}").measure(options):
            figures.append(found)
            print(format_row(found), flush=True)
    report = {"hardware": hardware(), "figures": [asdict(found) for found in figures]}
    write_text(out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
