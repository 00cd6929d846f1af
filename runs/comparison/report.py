"""Put figures, sentences and pictures together, and write them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from runs.comparison import charts, sentences, tables
from runs.comparison.curves import build_panel
from runs.comparison.runs import Run
from runs.comparison.settings import budgets
from runs.comparison.statistics import LEVEL, correct, mean_interval
from runs.comparison.tables import Comparison

MOST_IN_COLOR = 5  # lines of the picture of budgets
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=lambda name: name is not None and ".html" in name,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


@dataclass
class Section:
    """What the report says of one condition."""

    title: str
    intro: list[str]
    sentences: list[str]
    notes: list[str]
    reference: str
    results: list[dict[str, str]]
    differences: list[dict[str, str]]
    speed: list[dict[str, str]]
    pictures: dict[str, Any] = field(default_factory=dict)  # Vega-Lite by name
    panels: list[Any] = field(default_factory=list)


def build_sections(comparisons: Sequence[Comparison]) -> list[Section]:
    """Correct the tests of all conditions together, then say what is found in each."""
    differences = [d for comparison in comparisons for d in comparison.differences.values()]
    correct(differences)
    return [build_section(comparison) for comparison in comparisons]


def build_section(comparison: Comparison) -> Section:
    """The tables, sentences and pictures of a condition."""
    paired = any(d.n > 1 for d in comparison.differences.values())
    section = Section(
        title=comparison.condition.title,
        intro=[line for line in [sentences.mixed(comparison.condition)] if line],
        sentences=sentences.conclude(comparison),
        notes=sentences.notes(comparison),
        reference=comparison.reference,
        results=tables.results_rows(comparison),
        differences=tables.difference_rows(comparison) if paired else [],
        speed=tables.speed_rows(comparison),
    )
    if comparison.results:
        section.pictures["results"] = charts.specify(draw_results(comparison))
    if paired:
        drawn = charts.draw_differences(comparison.differences, comparison.reference)
        section.pictures["differences"] = charts.specify(drawn)
    panels = [build_panel(s, tables.tell(s.differs)) for s in comparison.schedules if s.runs]
    panels = [panel for panel in panels if panel.val or panel.rates]
    section.panels = [
        charts.specify(charts.draw_panel(panel, panels, comparison.reference)) for panel in panels
    ]
    return section


def draw_results(comparison: Comparison) -> Any:
    """The picture of the main table."""
    rows = []
    for label, values in comparison.results.items():
        mean, low, high = mean_interval(list(values.values()))
        ends = {"low": None, "high": None} if low != low else {"low": low, "high": high}
        rows.append({"label": label, "values": values, "mean": mean} | ends)
    return charts.draw_results(rows, "test top-1 after the last step, %")


def build_budgets(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """A table and a picture for each family of conditions that differ in their budget alone."""
    by_title = {id(comparison.condition): comparison for comparison in comparisons}
    found = []
    for family in budgets([comparison.condition for comparison in comparisons]):
        members = [by_title[id(condition)] for condition in family]
        rows = [
            {
                "label": label,
                "budget": comparison.condition.settings.get("epochs"),
                "mean": sum(values.values()) / len(values),
                "text": f"{label}, {comparison.condition.title}: n = {len(values)}",
            }
            for comparison in members
            for label, values in comparison.results.items()
        ]
        picture = None
        if rows and all(type(row["budget"]) is int for row in rows):
            best = list(members[-1].results)[:MOST_IN_COLOR]
            picture = charts.specify(charts.draw_budgets(rows, best))
        found.append({"rows": tables.budget_rows(members), "picture": picture})
    return found


def write_files(
    out: Path, comparisons: Sequence[Comparison], runs: Sequence[Run]
) -> tuple[list[Section], list[Path]]:
    """Write report.html, report.md with its pictures, and results.csv."""
    sections = build_sections(comparisons)
    rates, alarms = sentences.tell_rates(runs)
    context = {
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "runs": len(runs),
        "sound": sum(not run.problem for run in runs),
        "rates": rates,
        "alarms": alarms,
        "sections": sections,
        "budgets": build_budgets(comparisons),
        "lost": [run for run in runs if run.problem],
        "origin": sentences.provenance(runs),
        "commands": commands(runs),
        "limits": sentences.LIMITS,
        "level": f"{LEVEL:.0%}".replace("%", " %"),
        "tests": sum(math.isfinite(d.p) for part in comparisons for d in part.differences.values()),
    }
    out.mkdir(parents=True, exist_ok=True)
    html, text, table = (out / name for name in ("report.html", "report.md", "results.csv"))
    pd.DataFrame(tables.run_rows(comparisons, runs)).to_csv(table, index=False)
    svg = {"svg": lambda chart: jinja2.utils.markupsafe.Markup(charts.to_svg(chart))}
    _write(html, TEMPLATES.get_template("report.html.jinja").render(context | svg))
    pictures = _Pictures(out)
    words = {"picture": pictures.write, "md": escape_markdown, "grid": charts.arrange_panels}
    _write(text, TEMPLATES.get_template("report.md.jinja").render(context | words))
    return sections, [html, text, table, *pictures.written]


class _Pictures:
    """Writes PNG files beside the report and says their names."""

    def __init__(self, out: Path) -> None:
        self.out, self.written = out, []

    def write(self, name: str, chart: Any) -> str:
        path = self.out / f"report-{name}.png"
        path.write_bytes(charts.to_png(chart))
        self.written.append(path)
        return path.name


def commands(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The overrides of each run."""
    return [(run.folder.name, " ".join(run.command) or "not recorded") for run in runs]


def escape_markdown(text: object) -> str:
    """A text from a run folder that Markdown shows as it is.

    >>> escape_markdown("a|b <c> [d](e) _f_")
    'a\\\\|b &lt;c&gt; \\\\[d\\\\](e) \\\\_f\\\\_'
    """
    words = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_|[]~#$!":
        words = words.replace(mark, f"\\{mark}")
    return words


def _write(path: Path, text: str) -> None:
    """In one move, so that a reader sees the old report or the new one."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
