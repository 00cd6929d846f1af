"""Compare runs: which schedule, by how much, and is it more than luck.

    python -m scripts.compare multirun/2024-05-01_12-00-00
    python -m scripts.compare RUN RUN RUN --out report --reference step --accuracies 20,30
    python -m scripts.compare multirun/TUNING --best optimizer.lr

Reads run folders, and folders with run folders at any depth; trains nothing. Writes `report.html`
(one file), `report.md` with its pictures, `results.csv` and `groups/` (curves for TensorBoard).
`docs/compare.md` says how to read the report.
"""

import argparse
import sys
from pathlib import Path

from runs.comparison.runs import find_runs, read_run
from runs.comparison.write import write_report


def main() -> None:
    """Read the command line, write the report, say what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare", description="Compare runs: a report from run folders."
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="where to write; default: beside the runs")
    parser.add_argument("--reference", help="compare with this schedule; default: none, else step")
    parser.add_argument(
        "--accuracies", type=_percents, default=(), help="of the table of steps, as 20,30"
    )
    parser.add_argument("--best", metavar="KEY", help="only print the best value per scheduler")
    options = parser.parse_args()
    try:
        if options.best:
            from runs.comparison.tuning import choose_best

            runs = [read_run(folder) for folder in find_runs(options.folders)]
            print(choose_best(runs, options.best))
            return
        report = write_report(options.folders, options.out, options.reference, options.accuracies)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(report)


def _percents(text: str) -> list[float]:
    values = [float(word) for word in text.split(",")]
    if not all(0 < value <= 100 for value in values):
        raise ValueError
    return sorted(set(values))


if __name__ == "__main__":
    main()
