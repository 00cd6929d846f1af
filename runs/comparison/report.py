"""Write a report on run folders: report.html, report.md, results.csv and curves over seeds."""

import html
import math
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from common.files import write_text
from runs.comparison import charts, sentences, tables
from runs.comparison.curves import build_panel, write_groups
from runs.comparison.runs import find_runs, read_run
from runs.comparison.settings import BUDGET, arrange, write_settings
from runs.comparison.statistics import LEVEL, correct
from runs.comparison.tables import Comparison

PAGES = ("report.html", "report.md")
MOST_IN_COLOR = 5  # lines of the picture of budgets
MOST_LINES = 12  # of one kind on the screen


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    reference: str | None = None,
    accuracies: Sequence[float] = (),
) -> str:
    """Write the report on the runs in these folders; return it in short, for the screen.

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
    comparisons = [tables.compare_condition(part, reference, accuracies) for part in arrange(runs)]
    differences = [d for comparison in comparisons for d in comparison.differences.values()]
    correct(differences)
    rates, alarms = sentences.check_rates(runs)
    content = {
        "sections": [build_section(comparison) for comparison in comparisons],
        "budgets": build_budgets(comparisons),
        "runs": runs,
        "rates": rates,
        "alarms": alarms,
        "excluded": [run for run in runs if run.problem],
        "origin": sentences.origin(runs),
        "limits": sentences.LIMITS,
        "tests": sum(math.isfinite(difference.p) for difference in differences),
    }
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(tables.run_rows(comparisons, runs)).to_csv(out / "results.csv", index=False)
    write_pages(out, content)
    write_groups(out, comparisons)
    return "\n".join([*list_findings(content), f"report: {os.path.relpath(out / PAGES[0])}"])


def list_findings(content: dict[str, Any]) -> list[str]:
    """Return the lines for the screen: verdicts, excluded runs, alarms, the check of the rates."""
    found = [
        f"{section['title']}: {sentence}".removeprefix(": ")
        for section in content["sections"]
        for sentence in section["sentences"]
    ]
    excluded = [f"excluded: {r.folder.name} ({r.status}): {r.problem}" for r in content["excluded"]]
    for lines, more in ((found, "more in the report"), (excluded, "more are excluded")):
        if len(lines) > MOST_LINES:
            lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES} {more}"]
    return [*found, *excluded, *(f"ALARM: {text}" for text in content["alarms"]), content["rates"]]


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
    families: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in comparisons:
        settings = sorted(comparison.condition.settings.items())
        families[repr([item for item in settings if item[0] not in BUDGET])].append(comparison)
    found = []
    for members in families.values():
        if len(members) == 1:
            continue
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


def write_pages(out: Path, content: dict[str, Any]) -> None:
    """Write the report's pages from the templates named as they are."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters["md"] = escape_markdown
    content["made"] = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    content["level"] = f"{LEVEL * 100:g} %"
    for name in PAGES:
        write_text(out / name, templates.get_template(f"{name}.jinja").render(content))


def escape_markdown(text: object) -> str:
    """Return a text from a run folder that Markdown shows as it is.

    >>> escape_markdown("a|b <c> [d](e) _f_")
    'a\\\\|b &lt;c&gt; \\\\[d\\\\](e) \\\\_f\\\\_'
    """
    return re.sub(r"[\\`*_|\[\]~#$!]", r"\\\g<0>", html.escape(str(text), quote=False))
