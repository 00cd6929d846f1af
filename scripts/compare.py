"""Compare runs: which schedule is better, by how much, and is the difference beyond chance.

    python -m scripts.compare multirun/2024-05-01_12-00-00
    python -m scripts.compare RUN RUN RUN --out report --reference step --accuracies 20,30
    python -m scripts.compare multirun/TUNING --best optimizer.lr

Reads run folders, and folders with run folders at any depth; trains nothing. Writes `report.html`
(one file), `report.md`, `results.csv` and `groups/` (curves for TensorBoard). `docs/compare.md`
explains how to read the report.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import one_sentence
from runs.comparison.report import write_report
from runs.comparison.runs import find_runs, read_run
from runs.comparison.tuning import choose_best


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, write the report, and print it in short."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare", description="Compare runs: a report from run folders."
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="runs, or folders that hold some"
    )
    parser.add_argument("--out", type=Path, help="where to write; default: beside the runs")
    parser.add_argument("--reference", help="compare with this schedule; default: none")
    parser.add_argument(
        "--accuracies",
        type=_percents,
        default=(),
        help="in percent, of the table of steps: 20,30",
    )
    parser.add_argument("--best", metavar="KEY", help="only print the best value per scheduler")
    given = parser.parse_args(words)
    with one_sentence((ValueError, OSError)):
        if given.best:
            print(choose_best(map(read_run, find_runs(given.folders)), given.best))
        else:
            print(write_report(given.folders, given.out, given.reference, given.accuracies))


def _percents(text: str) -> list[float]:
    values = [float(word) for word in text.split(",")]
    if not all(0 < value <= 100 for value in values):
        raise ValueError
    return sorted(set(values))


if __name__ == "__main__":
    main()
