"""The report's pictures: still, of one hue beside grays, with a text on every point."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from runs.comparison.curves import Panel, thin
from runs.comparison.statistics import Difference, mean_interval

# Okabe and Ito's blue and vermilion: distinct to color-blind readers, and by their dashes.
BLUE, REFERENCE, OTHERS, INK, RULE = "#0072B2", "#D55E00", "#C8C8C8", "#222222", "#E4E4E4"
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
# The text of a point. vl-convert writes it as aria-label; a browser shows it as a <title>.
TEXT = {"description": alt.Description("text:N")}
MARKED = re.compile(r'<path aria-label="(?P<text>[^"]*)"(?P<rest>[^>]*)/>')


def short(label: str) -> str:
    """Return a label that fits beside a picture."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 3] + "..."


def draw_results(results: Mapping[str, Mapping[int, float]]) -> alt.TopLevelMixin:
    """Draw the test top-1 of each schedule, as `Comparison.results` has it."""
    means = {label: mean_interval(list(values.values())) for label, values in results.items()}
    return _draw_dots(results, means, "test top-1 after the last step, %", "{:.2f} %")


def draw_differences(differences: Mapping[str, Difference], reference: str) -> alt.TopLevelMixin:
    """Draw each schedule's difference to the reference, and the line of no difference."""
    named = sorted(((k, d) for k, d in differences.items() if d.n), key=lambda item: -item[1].mean)
    values = {label: dict(zip(d.seeds, d.values.tolist(), strict=True)) for label, d in named}
    means = {label: (d.mean, d.low, d.high) for label, d in named}
    zero = alt.Chart(_data([{"x": 0}])).mark_rule(color=REFERENCE, strokeDash=[4, 3])
    title = f"test top-1 minus that of {short(reference)}, points"
    return zero.encode(x="x:Q") + _draw_dots(values, means, title, "{:+.2f} points")


def _draw_dots(
    values: Mapping[str, Mapping[int, float]],
    means: Mapping[str, tuple[float, float, float]],
    title: str,
    unit: str,
) -> alt.LayerChart:
    """Draw a row per label: every run a ring, the mean a dot, its interval a bar.

    Args:
        values: by label and seed.
        means: by label: the mean and the ends of its interval.
        title: of the axis.
        unit: format of a value in the texts on the points.
    """
    runs = [
        {"label": label, "value": value, "text": f"{label}, seed {seed}: {unit.format(value)}"}
        for label, by_seed in values.items()
        for seed, value in by_seed.items()
    ]
    dots = [
        {"label": label, "mean": mean, "low": low, "high": high}
        | {"text": f"{label}: mean {unit.format(mean)}, n = {len(values[label])}"}
        for label, (mean, low, high) in means.items()
    ]
    # Room for the labels in a browser's own font, which is wider than the one measured with.
    room = 7.2 * max((len(short(label)) for label in means), default=0)
    rows = alt.Y("label:N", sort=list(means), title=None).axis(
        labelLimit=room, minExtent=room, grid=True, ticks=False, domain=False
    )

    def x(name: str) -> alt.X:
        axis = alt.Axis(tickCount=6, labelOverlap="greedy")
        return alt.X(name, title=title, axis=axis, scale=alt.Scale(zero=False, padding=6))

    bars = alt.Chart(_data([row for row in dots if np.isfinite(row["low"])]))
    bars = bars.mark_rule(color=BLUE, strokeWidth=2, aria=False).encode(x("low:Q"), rows, x2="high")
    rings = alt.Chart(_data(runs)).mark_point(color=GRAY, size=28, strokeWidth=1)
    filled = alt.Chart(_data(dots)).mark_point(color=BLUE, filled=True, size=70, opacity=1)
    return alt.layer(
        bars,
        rings.encode(x("value:Q"), rows, **TEXT),
        filled.encode(x("mean:Q"), rows, **TEXT),
    ).properties(width=340, height=ROW * max(1, len(means)))


def draw_panel(panel: Panel, panels: Sequence[Panel], reference: str) -> alt.VConcatChart:
    """Draw one schedule's rates, and under them its accuracy, among the curves of all others."""
    all_rates = [p.rates for p in panels if p.rates is not None]
    all_val = [p.val for p in panels if p.val is not None]
    log = uses_log(all_rates)
    top = max((band.high.max() for band in all_rates), default=1.0)
    floor = top / 1e4 if log else 0.0
    rates = alt.Scale(type="log" if log else "linear", domain=[floor, top], nice=not log)
    ends = [
        min((b.low.min() for b in all_val), default=0),
        max((b.high.max() for b in all_val), default=1),
    ]
    accuracy = alt.Scale(domain=ends, nice=True)
    steps = alt.X("step:Q", scale=alt.Scale(domain=[0, max(p.last_step for p in panels)]))
    above = steps.title(None).axis(labels=False, ticks=False, grid=False)
    below = steps.title("step").axis(format=",d", tickCount=5, grid=False)
    upper = _draw_band(panel.rates, above, rates, "rate", 2, floor)
    others = [p for p in panels if p.val is not None and p is not panel]
    gray, dashed = {"color": OTHERS}, {"color": REFERENCE, "strokeDash": [4, 3]}
    lower = alt.layer(
        _draw_lines([p for p in others if p.label != reference], steps, accuracy, 40, gray),
        _draw_band(panel.val, below, accuracy, "val top-1, %", 5, most_dots=60),
        _draw_lines([p for p in others if p.label == reference], steps, accuracy, 120, dashed),
    )
    title = alt.Title(short(panel.label), subtitle=panel.note, subtitleColor="#555555")
    return alt.vconcat(
        upper.properties(width=WIDTH, height=RATES, title=title),
        lower.properties(width=WIDTH, height=ACCURACY),
        spacing=8,
    )


def uses_log(rates: Sequence[pd.DataFrame]) -> bool:
    """Return whether the peak rates are too far apart for one linear axis."""
    peaks = [band["mean"].max() for band in rates]
    return bool(peaks) and min(peaks) > 0 and max(peaks) / min(peaks) >= 10


def _draw_band(
    band: pd.DataFrame | None,
    x: alt.X,
    scale: alt.Scale,
    title: str,
    ticks: int,
    floor: float = 0.0,
    most_dots: int = 0,
) -> alt.LayerChart:
    """Draw a curve's mean, the band from its lowest to its highest run, and a few dots."""
    rows = _data([]) if band is None else band.set_index("step").clip(lower=floor).reset_index()
    chart = alt.Chart(rows)
    axis = alt.Axis(tickCount=ticks, format="~r", minExtent=38)
    low, mean = (
        alt.Y(f"{name}:Q", scale=scale, title=title, axis=axis) for name in ("low", "mean")
    )
    layers = [
        chart.mark_area(color=BLUE, opacity=0.2, aria=False).encode(x, low, y2="high:Q"),
        chart.mark_line(color=BLUE, strokeWidth=1.8, aria=False).encode(x, mean),
    ]
    if len(rows) <= most_dots:
        text = [
            f"step {step:.0f}: {mean:.4g} ({low:.4g} to {high:.4g})"
            for step, mean, low, high in rows.itertuples(index=False)
        ]
        dots = alt.Chart(rows.assign(text=text)).mark_point(
            color=BLUE, filled=True, size=14, opacity=1
        )
        layers.append(dots.encode(x, mean, **TEXT))
    return alt.layer(*layers)


def _draw_lines(
    panels: Sequence[Panel], x: alt.X, scale: alt.Scale, most: int, style: Mapping[str, Any]
) -> alt.Chart:
    """Draw the means of other schedules at few points."""
    bands = [thin(panel.val, most).assign(label=panel.label) for panel in panels]
    chart = alt.Chart(pd.concat(bands) if bands else _data([]))
    y = alt.Y("mean:Q", scale=scale)
    return chart.mark_line(strokeWidth=1, aria=False, **style).encode(x, y, detail="label:N")


def draw_budgets(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> alt.TopLevelMixin:
    """Draw the mean test top-1 against the budget, a line per schedule with its name at its end.

    Args:
        rows: label, budget (epochs), mean, text.
        names: the schedules that are drawn in color; the others are gray.
    """
    last = max(row["budget"] for row in rows)
    x = alt.X("budget:Q", title="epochs", scale=alt.Scale(type="log", nice=False)).axis(
        values=sorted({row["budget"] for row in rows}), format="~g", grid=False
    )
    y = alt.Y("mean:Q", title="test top-1, %", scale=alt.Scale(zero=False))
    chosen = alt.condition(
        alt.FieldOneOfPredicate("label", list(names)), alt.value(BLUE), alt.value(GRAY)
    )
    base = alt.Chart(_data(rows)).encode(x, y, detail="label:N", color=chosen)
    ends = _spread([row for row in rows if row["budget"] == last], [row["mean"] for row in rows])
    text = alt.Chart(_data(ends)).mark_text(align="left", dx=8, fontSize=11, aria=False)
    text = text.encode(x, y, text="short:N", color=chosen)
    dots = base.mark_point(filled=True, size=40, opacity=1).encode(**TEXT)
    lines = base.mark_line(strokeWidth=1.6, aria=False)
    return (lines + dots + text).properties(width=440, height=300)


def _spread(rows: Sequence[Mapping[str, Any]], heights: Sequence[float]) -> list[dict[str, Any]]:
    """Return the labels at the ends of lines, moved up where one would cover another."""
    gap, place, moved = 0.045 * (max(heights) - min(heights)), -np.inf, []
    for row in sorted(rows, key=lambda row: row["mean"]):
        place = max(row["mean"], place + gap)
        moved.append({**row, "mean": place, "short": short(row["label"])})
    return moved


def _data(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as data: names from run folders are values, never fields or expressions.

    (Altair copies a chart at every call; other kinds of data it would copy with it.)
    """
    return pd.DataFrame(list(rows), columns=None if rows else ["step"])


def to_svg(chart: alt.TopLevelMixin) -> str:
    """Return the picture as SVG, with its points' texts as tooltips."""
    with alt.data_transformers.enable("default", max_rows=None):
        specification = chart.configure(**CONFIG).to_dict(validate=False)
    svg = vl_convert.vegalite_to_svg(specification, vl_version="6.4")
    return MARKED.sub(r"<path\g<rest>><title>\g<text></title></path>", svg)
