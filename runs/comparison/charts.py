"""The report's pictures: still, of one hue beside grays, with a text on every point."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from PIL import Image

from runs.comparison.curves import Band, Panel, thin
from runs.comparison.statistics import Difference

# Okabe and Ito's blue and vermilion: told apart by color-blind readers, and by their dashes.
OWN, REFERENCE, OTHERS, INK, RULE = "#0072B2", "#D55E00", "#C8C8C8", "#222222", "#E4E4E4"
GRAY = "#777777"  # of what is read, beside what only lies behind
WIDTH, RATES, ACCURACY, ROW = 290, 46, 150, 24
LONGEST_LABEL = 42  # characters
CONFIG = {
    "font": "Helvetica, Arial, sans-serif",
    "background": "#FFFFFF",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "gridColor": RULE,
        "domainColor": "#888888",
        "tickColor": "#888888",
    },
    "title": {"color": INK, "fontSize": 13, "anchor": "start", "offset": 6},
}
# What a marked point of vl-convert's SVG looks like; a <title> in it is what a browser shows.
MARKED = re.compile(r'<path aria-label="(?P<text>[^"]*)"(?P<rest>[^>]*)/>')


def short(label: str) -> str:
    """A label that fits beside a picture."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 3] + "..."


def draw_results(rows: Sequence[Mapping[str, Any]], title: str) -> alt.TopLevelMixin:
    """Test top-1 of each schedule: every run a ring, the mean a dot, its interval a bar.

    Args:
        rows: from the best to the worst: label, values (by seed), mean, low, high.
        title: of the accuracy's axis.
    """
    runs = [
        {
            "label": row["label"],
            "value": value,
            "text": f"{row['label']}, seed {seed}: {value:.2f} %",
        }
        for row in rows
        for seed, value in row["values"].items()
    ]
    means = [
        {key: row[key] for key in ("label", "mean", "low", "high")}
        | {"text": f"{row['label']}: mean {row['mean']:.2f} %, n = {len(row['values'])}"}
        for row in rows
    ]
    return _dots(means, [row["label"] for row in rows], title, runs)


def draw_differences(differences: Mapping[str, Difference], reference: str) -> alt.TopLevelMixin:
    """Each schedule's mean difference to the reference, with its interval, and the line of none."""
    named = dict(sorted(differences.items(), key=lambda item: -item[1].mean))
    means = [
        {"label": label, "mean": d.mean, "low": _none(d.low), "high": _none(d.high)}
        | {"text": f"{label}: {d.mean:+.2f} points, n = {d.n}", "shown": d.shown}
        for label, d in named.items()
        if d.n
    ]
    runs = [
        {"label": label, "value": value, "text": f"{label}, seed {seed}: {value:+.2f} points"}
        for label, d in named.items()
        for seed, value in zip(d.seeds, d.values.tolist(), strict=True)
    ]
    zero = (
        alt.Chart(_data([{"x": 0}])).mark_rule(color=REFERENCE, strokeDash=[4, 3]).encode(x="x:Q")
    )
    title = f"test top-1 minus that of {short(reference)}, points"
    return zero + _dots(means, [row["label"] for row in means], title, runs)


def _dots(
    means: Sequence[Mapping[str, Any]],
    order: Sequence[str],
    title: str,
    runs: Sequence[Mapping[str, Any]],
) -> alt.LayerChart:
    # Room for the labels in a browser's own font, which is wider than the one measured with.
    room = 7.2 * max((len(short(label)) for label in order), default=0)
    rows = alt.Y("label:N", sort=list(order), title=None).axis(
        labelLimit=room, minExtent=room, grid=True, ticks=False, domain=False
    )
    axis = alt.Axis(tickCount=6, labelOverlap="greedy")
    scale = alt.Scale(zero=False, nice=True, padding=6)
    size = {"width": 340, "height": ROW * max(1, len(order))}
    points = alt.Chart(_data(runs)).mark_point(color=GRAY, size=28, strokeWidth=1)
    points = points.encode(alt.X("value:Q", title=title, scale=scale, axis=axis), rows, **_told())
    bars = alt.Chart(_data([row for row in means if row["low"] is not None]))
    bars = bars.mark_rule(color=OWN, strokeWidth=2, aria=False).encode(
        alt.X("low:Q", title=title), rows, x2="high:Q"
    )
    dots = alt.Chart(_data(means)).mark_point(color=OWN, filled=True, size=70, opacity=1)
    dots = dots.encode(alt.X("mean:Q", title=title), rows, **_told())
    return alt.layer(bars, points, dots).properties(**size)


def draw_panel(panel: Panel, panels: Sequence[Panel], reference: str) -> alt.VConcatChart:
    """One schedule's rates, and under them its accuracy, among the curves of all the others."""
    steps = alt.Scale(domain=[0, max(p.last_step for p in panels)], nice=False)
    log = uses_log(panels)
    top = max((max(p.rates.high) for p in panels if p.rates), default=1.0)
    floor = top / 1e4 if log else 0.0
    rates = alt.Scale(type="log" if log else "linear", domain=[floor, top], nice=not log)
    heights = [value for p in panels if p.val for value in (*p.val.low, *p.val.high)]
    accuracy = alt.Scale(domain=[min(heights, default=0), max(heights, default=1)], nice=True)
    upper = _band(panel.rates, steps, rates, "rate", floor, axis=False)
    title = alt.Title(short(panel.label), subtitle=panel.note, subtitleColor="#555555")
    upper = upper.properties(width=WIDTH, height=RATES, title=title)
    lower = _band(panel.val, steps, accuracy, "val top-1, %", 0.0, axis=True, points=True)
    behind = [p for p in panels if p.val and p is not panel and p.label == reference]
    others = [p for p in panels if p.val and p is not panel and p.label != reference]
    lower = alt.layer(
        _lines(others, steps, accuracy, OTHERS),
        lower,
        _lines(behind, steps, accuracy, REFERENCE, dashes=[4, 3], most=120),
    )
    lower = lower.properties(width=WIDTH, height=ACCURACY)
    return alt.vconcat(upper, lower, spacing=8)


def uses_log(panels: Sequence[Panel]) -> bool:
    """Whether the peak rates are too far apart for one linear axis."""
    peaks = [max(p.rates.mean) for p in panels if p.rates]
    return bool(peaks) and min(peaks) > 0 and max(peaks) / min(peaks) >= 10


def _band(
    band: Band | None,
    steps: alt.Scale,
    scale: alt.Scale,
    name: str,
    floor: float,
    axis: bool,
    points: bool = False,
) -> alt.LayerChart:
    """A curve's mean, the band from its lowest to its highest run, and texts on its points."""
    rows = band.rows(floor) if band else []
    chart = alt.Chart(_data(rows))
    x = alt.X("step:Q", scale=steps, title="step" if axis else None)
    x = x.axis(labels=axis, ticks=axis, format=",d", tickCount=5, grid=False)
    y = alt.Y("mean:Q", scale=scale, title=name).axis(
        tickCount=5 if axis else 2, format="~r", minExtent=38
    )
    area = chart.mark_area(color=OWN, opacity=0.2, aria=False).encode(
        x, alt.Y("low:Q", scale=scale, title=name), y2="high:Q"
    )
    line = chart.mark_line(color=OWN, strokeWidth=1.8, aria=False).encode(x, y)
    if points and len(rows) <= 60:
        dots = chart.mark_point(color=OWN, filled=True, size=14, opacity=1).encode(x, y, **_told())
        return area + line + dots
    return area + line


def _lines(
    panels: Sequence[Panel],
    steps: alt.Scale,
    scale: alt.Scale,
    color: str,
    dashes: Sequence[int] = (1, 0),
    most: int = 40,
) -> alt.Chart:
    """The means of other schedules, at few points."""
    rows = [
        {"label": panel.label, "step": step, "mean": value}
        for panel in panels
        for step, value in thin(panel.val, most).means()
    ]
    mark = alt.Chart(_data(rows)).mark_line(
        color=color, strokeWidth=1, strokeDash=list(dashes), aria=False
    )
    return mark.encode(alt.X("step:Q", scale=steps), alt.Y("mean:Q", scale=scale), detail="label:N")


def draw_budgets(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> alt.TopLevelMixin:
    """Mean test top-1 against the budget, a line per schedule with its name at its end.

    Args:
        rows: label, budget (epochs), mean, text.
        names: the schedules that are drawn in color, the others are gray.
    """
    last = max(row["budget"] for row in rows)
    x = alt.X("budget:Q", title="epochs", scale=alt.Scale(type="log", nice=False)).axis(
        values=sorted({row["budget"] for row in rows}), format="~g", grid=False
    )
    y = alt.Y("mean:Q", title="test top-1, %", scale=alt.Scale(zero=False))
    chosen = alt.condition(
        alt.FieldOneOfPredicate("label", list(names)), alt.value(OWN), alt.value(GRAY)
    )
    base = alt.Chart(_data(rows)).encode(x, y, detail="label:N", color=chosen)
    ends = _apart([row for row in rows if row["budget"] == last], [row["mean"] for row in rows])
    text = alt.Chart(_data(ends)).mark_text(align="left", dx=8, fontSize=11, aria=False)
    text = text.encode(x, y, text="short:N", color=chosen)
    dots = base.mark_point(filled=True, size=40, opacity=1).encode(**_told())
    return (base.mark_line(strokeWidth=1.6, aria=False) + dots + text).properties(
        width=440, height=300
    )


def _apart(rows: Sequence[Mapping[str, Any]], heights: Sequence[float]) -> list[dict[str, Any]]:
    """Labels at the ends of lines, moved up where one would be written over another."""
    gap, place, moved = 0.045 * (max(heights) - min(heights)), -np.inf, []
    for row in sorted(rows, key=lambda row: row["mean"]):
        place = max(row["mean"], place + gap)
        moved.append({**row, "mean": place, "short": short(row["label"])})
    return moved


def _told() -> dict[str, Any]:
    return {"description": alt.Description("text:N")}


def _none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _data(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as they are: names from run folders are values here, never fields or expressions.

    (Altair copies a chart at every call; other kinds of data it would copy with it.)
    """
    return pd.DataFrame(list(rows), columns=None if rows else ["step"])


def specify(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as Vega-Lite; its data, thousands of rows, need no check against a schema."""
    with alt.data_transformers.enable("default", max_rows=None):
        return chart.configure(**CONFIG).to_dict(validate=False)


def arrange_panels(panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All panels in one picture; put together here, for Altair would copy all data many times."""
    shared = {key: panels[0][key] for key in ("$schema", "config")}
    datasets = {name: rows for panel in panels for name, rows in panel["datasets"].items()}
    parts = [{"vconcat": panel["vconcat"], "spacing": panel["spacing"]} for panel in panels]
    return shared | {"datasets": datasets, "concat": parts, "columns": 3, "spacing": 24}


def to_svg(specification: dict[str, Any]) -> str:
    """The picture as SVG, with its points' texts as tooltips."""
    svg = vl_convert.vegalite_to_svg(specification, vl_version="6.4")
    return MARKED.sub(r"<path\g<rest>><title>\g<text></title></path>", svg)


def to_png(specification: dict[str, Any]) -> bytes:
    """The picture as PNG, half as large again, with few colors: it has few."""
    png = vl_convert.vegalite_to_png(specification, vl_version="6.4", scale=1.5)
    packed = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(64).save(packed, "png", optimize=True)
    return packed.getvalue()
