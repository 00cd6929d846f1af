"""Write a report on run folders, and say in short what it says."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runs.comparison.runs import Run, find_runs, read_run
from runs.comparison.settings import arrange

MOST_SENTENCES = 12


@dataclass
class Report:
    """What was written, and what it says in short.

    Attributes:
        html: the report.
        files: all files that were written.
        sentences: one per comparison.
        alarms: runs whose rates were not those of their preview.
        rates: how many rates were as previewed.
        lost: the runs that do not count, each with its `problem`.
    """

    html: Path
    files: list[Path]
    sentences: list[str]
    alarms: list[str]
    rates: str
    lost: list[Run]

    def __str__(self) -> str:
        return "\n".join(tell(self))


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    reference: str | None = None,
    accuracies: Sequence[float] = (),
) -> Report:
    """Write the report on the runs in these folders.

    Args:
        folders: run folders, or folders that have some in them.
        out: where to write; by default the folder, or where several have their common parent.
        reference: the schedule that the others are compared with.
        accuracies: in percent, for the table of steps; chosen from the data by default.

    Raises:
        FileNotFoundError: a folder does not exist or has no run in it.
        ValueError: the reference is none of the schedules.
    """
    from runs.comparison.group_curves import write_groups
    from runs.comparison.report import write_files
    from runs.comparison.sentences import tell_rates
    from runs.comparison.tables import compare_condition

    runs = [read_run(folder) for folder in find_runs(folders)]
    out = out or common_folder(folders)
    conditions = arrange(runs)
    comparisons = [compare_condition(part, reference, accuracies) for part in conditions]
    sections, files = write_files(out, comparisons, runs)
    write_groups(out, comparisons)
    rates, alarms = tell_rates(runs)
    said = [
        f"{section.title}: {sentence}" if section.title else sentence
        for section in sections
        for sentence in section.sentences
    ]
    return Report(files[0], files, said, alarms, rates, [run for run in runs if run.problem])


def common_folder(folders: Sequence[Path]) -> Path:
    """The folder, or the nearest that holds them all."""
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def tell(report: Report) -> list[str]:
    """The report in short, for the screen."""
    lines = report.sentences[:MOST_SENTENCES]
    if len(report.sentences) > MOST_SENTENCES:
        lines.append(f"... and {len(report.sentences) - MOST_SENTENCES} more in the report")
    for run in report.lost[:MOST_SENTENCES]:
        lines.append(f"does not count: {run.folder.name} ({run.status}): {run.problem}")
    if len(report.lost) > MOST_SENTENCES:
        lines.append(f"... and {len(report.lost) - MOST_SENTENCES} more that do not count")
    lines += [f"ALARM: {alarm}" for alarm in report.alarms]
    return [*lines, report.rates, f"report: {os.path.relpath(report.html)}"]
