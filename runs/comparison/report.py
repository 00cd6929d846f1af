"""Write a report on run folders: report.html, report.md, results.csv and curves over seeds."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from common.files import write_text
from runs.comparison import charts, sentences, tables
from runs.comparison.curves import build_panel, write_groups
from runs.comparison.runs import Run, find_runs, read_run
from runs.comparison.settings import arrange, budgets, write_settings
from runs.comparison.statistics import LEVEL, correct
from runs.comparison.tables import Comparison

TEMPLATES = Path(__file__).parent / "templates"
MOST_IN_COLOR = 5  # lines of the picture of budgets
MOST_LINES = 12  # of one kind on the screen


@dataclass
class Report:
    """The files of a report, and its content in short; as text, the lines for the screen.

    Attributes:
        html: the report.
        files: all files that were written.
        sentences: one per comparison.
        alarms: a sentence for each run whose rates were not those of its preview.
        rates: how many rates were as previewed.
        excluded: the runs that enter no statistics, each with its `problem`.
    """

    html: Path
    files: list[Path]
    sentences: list[str]
    alarms: list[str]
    rates: str
    excluded: list[Run]

    def __str__(self) -> str:
        excluded = [
            f"excluded: {run.folder.name} ({run.status}): {run.problem}" for run in self.excluded
        ]
        return "\n".join(
            [
                *_first(self.sentences, "more in the report"),
                *_first(excluded, "more are excluded"),
                *(f"ALARM: {alarm}" for alarm in self.alarms),
                self.rates,
                f"report: {os.path.relpath(self.html)}",
            ]
        )


def _first(lines: list[str], more: str) -> list[str]:
    """Return the first lines, and how many more there are."""
    rest = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"... and {rest} {more}"] if rest > 0 else lines


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    reference: str | None = None,
    accuracies: Sequence[float] = (),
) -> Report:
    """Write the report on the runs in these folders.

    Args:
        folders: run folders, or folders that have some in them.
        out: where to write; by default the folder, or the nearest that holds several of them.
        reference: the schedule that the others are compared with.
        accuracies: in percent, for the table of steps; chosen from the data by default.

    Raises:
        FileNotFoundError: a folder does not exist or has no run in it.
        ValueError: the reference is none of the schedules.
    """
    runs = [read_run(folder) for folder in find_runs(folders)]
    out = out or Path(os.path.commonpath([folder.resolve() for folder in folders]))
    comparisons = [
        tables.compare_condition(condition, reference, accuracies) for condition in arrange(runs)
    ]
    correct([d for comparison in comparisons for d in comparison.differences.values()])
    sections = [build_section(comparison) for comparison in comparisons]
    rates, alarms = sentences.check_rates(runs)
    excluded = [run for run in runs if run.problem]
    out.mkdir(parents=True, exist_ok=True)
    html, text, table = (out / name for name in ("report.html", "report.md", "results.csv"))
    pd.DataFrame(tables.run_rows(comparisons, runs)).to_csv(table, index=False)
    render(
        [html, text],
        sections=sections,
        budgets=build_budgets(comparisons),
        runs=runs,
        rates=rates,
        alarms=alarms,
        excluded=excluded,
        origin=sentences.origin(runs),
        limits=sentences.LIMITS,
        tests=sum(math.isfinite(d.p) for part in comparisons for d in part.differences.values()),
    )
    write_groups(out, comparisons)
    found = [
        f"{section['title']}: {sentence}" if section["title"] else sentence
        for section in sections
        for sentence in section["sentences"]
    ]
    return Report(html, [html, text, table], found, alarms, rates, excluded)


def build_section(comparison: Comparison) -> dict[str, Any]:
    """Return the tables, sentences and pictures of a condition, whose differences are corrected."""
    paired = any(d.n > 1 for d in comparison.differences.values())
    panels = [build_panel(s, write_settings(s.differs)) for s in comparison.schedules if s.runs]
    panels = [p for p in panels if p.val is not None or p.rates is not None]
    reference, results = comparison.reference, comparison.results
    drawn = paired and charts.draw_differences(comparison.differences, reference)
    return {
        "title": comparison.condition.title,
        "warning": sentences.mixed(comparison.condition),
        "sentences": sentences.conclude(comparison),
        "notes": sentences.notes(comparison),
        "reference": reference,
        "results": tables.results_rows(comparison),
        "results_picture": results and charts.to_svg(charts.draw_results(results)),
        "differences": tables.difference_rows(comparison) if paired else [],
        "differences_picture": drawn and charts.to_svg(drawn),
        "speed": tables.speed_rows(comparison),
        "panels": [charts.to_svg(charts.draw_panel(p, panels, reference)) for p in panels],
    }


def build_budgets(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return a table and a picture for each family of conditions that differ in budget alone."""
    by_condition = {id(comparison.condition): comparison for comparison in comparisons}
    found = []
    for family in budgets([comparison.condition for comparison in comparisons]):
        members = [by_condition[id(condition)] for condition in family]
        rows = [
            {
                "label": label,
                "budget": member.condition.settings.get("epochs"),
                "mean": sum(values.values()) / len(values),
                "text": f"{label}, {member.condition.title}: n = {len(values)}",
            }
            for member in members
            for label, values in member.results.items()
        ]
        picture = ""
        if rows and all(isinstance(row["budget"], int) for row in rows):
            best = list(members[-1].results)[:MOST_IN_COLOR]
            picture = charts.to_svg(charts.draw_budgets(rows, best))
        found.append({"rows": tables.budget_rows(members), "picture": picture})
    return found


def render(paths: Sequence[Path], **content: Any) -> None:
    """Write the report's pages from the templates named as they are."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters["md"] = escape_markdown
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    for path in paths:
        template = templates.get_template(f"{path.name}.jinja")
        write_text(path, template.render(made=made, level=f"{LEVEL * 100:g} %", **content))


def escape_markdown(text: object) -> str:
    """Return a text from a run folder that Markdown shows as it is.

    >>> escape_markdown("a|b <c> [d](e) _f_")
    'a\\\\|b &lt;c&gt; \\\\[d\\\\](e) \\\\_f\\\\_'
    """
    words = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_|[]~#$!":
        words = words.replace(mark, f"\\{mark}")
    return words
