"""Measure what the harness costs, as ratios inside one run.

    python -m scripts.benchmark                 # everything, about 15 minutes
    python -m scripts.benchmark trainer loader  # only these sections
    python -m scripts.benchmark startup memory --cifar100 datasets
    python -m scripts.benchmark peers --torch-python ../peers/bin/python

Where a figure compares two ways of doing one thing, they are measured in turns (a b b a ...) in
this run, and it is the median of the turns' ratios with their lowest and highest. Writes
`benchmark.json` and prints the table of docs/performance.md.
"""

import argparse
import importlib
import json
from dataclasses import asdict
from pathlib import Path

from scripts.benchmark.measure import Figure, Options

# Each a module of scripts/benchmarks, with what it measures.
SECTIONS = {
    "loader": "images per second, against flowvision in OneFlow's DataLoader",
    "augment": "images per second under each augmentation",
    "trainer": "the Trainer's step against the bare step",
    "graph": "a compiled step against an eager one",
    "recorder": "recording every step against dropping it",
    "startup": "from the start of the process to the first step, by phase",
    "memory": "of a plain run, by phase; growth over 5,000 steps",
    "sweep": "two jobs at a time against two in sequence",
    "ranks": "one training on two processes against one process",
    "growth": "1, 4 and 16 times the steps, traces, points, runs",
    "blas": "OpenBLAS's own choice of kernel against the AVX2 kernel",
    "schedules": "the slowest trace of 100,000 steps",
    "checkpoint": "saving against writing the same bytes",
    "peers": "the same nets in PyTorch; needs --torch-python",
}


def measure(name: str, options: Options) -> list[Figure]:
    """The figures of a section."""
    figures: list[Figure] = importlib.import_module(f"scripts.benchmark.{name}").measure(options)
    return figures


def read_arguments() -> tuple[list[str], Options, Path]:
    """The sections that the command line names, what it says to them, and the file to write."""
    sections = "\n".join(f"  {name:<11} {told}" for name, told in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark",
        description=f"{__doc__.splitlines()[0]}\n\nsections:\n{sections}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="default: all of them")
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"), help="file to write")
    parser.add_argument(
        "--cifar100", type=Path, metavar="FOLDER", help="dataset.root with CIFAR-100, if there is"
    )
    parser.add_argument(
        "--torch-python", type=Path, metavar="PYTHON", help="of another environment, with torch"
    )
    parser.add_argument("--quick", action="store_true", help="one turn of each, to see it work")
    arguments = parser.parse_args()
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


def row(found: Figure) -> str:
    """A figure's row of the table.

    >>> row(Figure("blas", "own choice / AVX2", "ratio", 2.36, 1.884, 3.09, 5))
    '| own choice / AVX2 | 2.36 | 1.884 - 3.09 | 5 |'
    """
    median, low, high = (f"{value:.4g}" for value in (found.median, found.low, found.high))
    unit = "" if found.unit == "ratio" else f" {found.unit}"
    return f"| {found.name} | {median}{unit} | {low} - {high} | {found.n} |"


def main() -> None:
    """Measure the sections that the command line names, or all."""
    from engine.process import runtime
    from engine.process.machine import hardware

    names, options, out = read_arguments()
    figures: list[Figure] = []
    print(f"{hardware()}, kernel {runtime.blas_kernel()}\n")
    print("| figure | median | lowest - highest | n |\n| --- | --- | --- | --- |")
    for name in names:
        for found in measure(name, options):
            figures.append(found)
            print(row(found), flush=True)
    report = {"hardware": hardware(), "figures": [asdict(found) for found in figures]}
    out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
