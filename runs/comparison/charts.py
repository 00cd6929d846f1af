"""The report's pictures: still, of one hue beside grays, with a text on every point."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from runs.comparison.curves import Panel, thin
from runs.comparison.runs import clean
from runs.comparison.statistics import Difference, mean_interval

# Okabe and Ito's blue and vermilion: distinct to color-blind readers, and by their dashes.
BLUE, REFERENCE, OTHERS, INK, RULE = "#0072B2", "#D55E00", "#C8C8C8", "#222222", "#E4E4E4"
GRAY = "#777777"  # of what is read, beside what only lies behind
WIDTH, RATES, ACCURACY, ROW = 290, 46, 150, 24
short = partial(clean, longest=42)  # a label that fits beside a picture
DASHED = {"color": REFERENCE, "strokeDash": [4, 3]}
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


def draw_results(results: Mapping[str, Mapping[int, float]]) -> alt.TopLevelMixin:
    """Draw the test top-1 of each schedule, as `Comparison.results` has it."""
    means = {label: mean_interval(list(values.values())) for label, values in results.items()}
    return _draw_dots(results, means, "test top-1 after the last step, %", "{:.2f} %")


def draw_differences(differences: Mapping[str, Difference], reference: str) -> alt.TopLevelMixin:
    """Draw each schedule's difference to the reference, and the line of no difference."""
    named = sorted(((k, d) for k, d in differences.items() if d.n), key=lambda item: -item[1].mean)
    values = {label: dict(zip(d.seeds, d.values.tolist(), strict=True)) for label, d in named}
    means = {label: (d.mean, d.low, d.high) for label, d in named}
    zero = alt.Chart(_data([{"x": 0}])).mark_rule(**DASHED)
    title = f"test top-1 minus that of {short(reference)}, points"
    return zero.encode(x="x:Q") + _draw_dots(values, means, title, "{:+.2f} points")


def _draw_dots(
    values: Mapping[str, Mapping[int, float]],
    means: Mapping[str, tuple[float, float, float]],
    title: str,
    unit: str,
) -> alt.LayerChart:
    """Draw a row per label: every run a ring, the mean a dot, its interval a bar.

    `values` are by label and seed, `means` the mean and the ends of its interval; `unit` is the
    format of a value in the texts on the points.
    """
    runs = [
        {"label": label, "value": value, "text": f"{label}, seed {seed}: {unit.format(value)}"}
        for label, by_seed in values.items()
        for seed, value in by_seed.items()
    ]
    dots = [
        {"label": label, "value": mean, "low": low, "high": high}
        | {"text": f"{label}: mean {unit.format(mean)}, n = {len(values[label])}"}
        for label, (mean, low, high) in means.items()
    ]
    # Room for the labels in a browser's own font, which is wider than the one measured with.
    room = 7.2 * max((len(short(label)) for label in means), default=0)
    y = alt.Y("label:N", sort=list(means), title=None).axis(
        labelLimit=room, minExtent=room, grid=True, ticks=False, domain=False
    )
    axis = alt.Axis(tickCount=6, labelOverlap="greedy")
    x = partial(alt.X, title=title, axis=axis, scale=alt.Scale(zero=False, padding=6))
    bars = alt.Chart(_data([row for row in dots if np.isfinite(row["low"])]))
    rings = alt.Chart(_data(runs)).mark_point(color=GRAY, size=28, strokeWidth=1)
    filled = alt.Chart(_data(dots)).mark_point(color=BLUE, filled=True, size=70, opacity=1)
    return alt.layer(
        bars.mark_rule(color=BLUE, strokeWidth=2, aria=False).encode(x("low:Q"), y, x2="high"),
        *(points.encode(x("value:Q"), y, **TEXT) for points in (rings, filled)),
    ).properties(width=340, height=ROW * max(1, len(means)))


def draw_panel(panel: Panel, panels: Sequence[Panel], reference: str) -> alt.VConcatChart:
    """Draw one schedule's rates, and under them its accuracy, among the curves of all others."""
    peaks = [p.rates["mean"].max() for p in panels if p.rates is not None]
    log = bool(peaks) and min(peaks) > 0 and max(peaks) / min(peaks) >= 10  # too far apart
    top = max((p.rates.high.max() for p in panels if p.rates is not None), default=1.0)
    floor = top / 1e4 if log else 0.0
    rates = alt.Scale(type="log" if log else "linear", domain=[floor, top], nice=not log)
    others = [p for p in panels if p.val is not None]
    lowest = min((p.val.low.min() for p in others), default=0)
    highest = max((p.val.high.max() for p in others), default=1)
    accuracy = alt.Scale(domain=[lowest, highest], nice=True)
    last = max(b.step.max() for p in panels for b in (p.val, p.rates) if b is not None)
    steps = alt.X("step:Q", scale=alt.Scale(domain=[0, max(1, last)]))
    above = steps.title(None).axis(labels=False, ticks=False, grid=False)
    below = steps.title("step").axis(format=",d", tickCount=5, grid=False)

    def draw_lines(shown: list[Panel], most: int, **style: Any) -> alt.Chart:
        bands = [thin(p.val, most).assign(label=p.label) for p in shown if p is not panel]
        chart = alt.Chart(pd.concat(bands) if bands else _data([]))
        y = alt.Y("mean:Q", scale=accuracy)
        return chart.mark_line(strokeWidth=1, aria=False, **style).encode(
            steps, y, detail="label:N"
        )

    lower = alt.layer(
        draw_lines([p for p in others if p.label != reference], 40, color=OTHERS),
        _draw_band(panel.val, below, accuracy, "val top-1, %", 5, most_dots=60),
        draw_lines([p for p in others if p.label == reference], 120, **DASHED),
    )
    title = alt.Title(short(panel.label), subtitle=panel.note, subtitleColor="#555555")
    upper = _draw_band(panel.rates, above, rates, "rate", 2, floor)
    upper = upper.properties(width=WIDTH, height=RATES, title=title)
    return alt.vconcat(upper, lower.properties(width=WIDTH, height=ACCURACY), spacing=8)


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
    axis = alt.Axis(tickCount=ticks, format="~r", minExtent=38)
    low, mean = (
        alt.Y(f"{name}:Q", scale=scale, title=title, axis=axis) for name in ("low", "mean")
    )
    area = alt.Chart(rows).mark_area(color=BLUE, opacity=0.2, aria=False)
    line = alt.Chart(rows).mark_line(color=BLUE, strokeWidth=1.8, aria=False)
    layers = [area.encode(x, low, y2="high:Q"), line.encode(x, mean)]
    if len(rows) <= most_dots:
        figures = rows.itertuples(index=False)
        text = [
            f"step {step:.0f}: {m:.4g} ({low:.4g} to {high:.4g})" for step, m, low, high in figures
        ]
        dots = alt.Chart(rows.assign(text=text))
        dots = dots.mark_point(color=BLUE, filled=True, size=14, opacity=1)
        layers.append(dots.encode(x, mean, **TEXT))
    return alt.layer(*layers)


def draw_budgets(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> alt.TopLevelMixin:
    """Draw the mean test top-1 against the budget, a line per schedule with its name at its end.

    The rows have label, budget (epochs), mean and text; schedules not in `names` are gray.
    """
    table = _data(rows)
    x = alt.X("budget:Q", title="epochs", scale=alt.Scale(type="log", nice=False)).axis(
        values=sorted(set(table.budget.tolist())), format="~g", grid=False
    )
    y = alt.Y("mean:Q", title="test top-1, %", scale=alt.Scale(zero=False))
    chosen = alt.FieldOneOfPredicate("label", list(names))
    color = alt.condition(chosen, alt.value(BLUE), alt.value(GRAY))
    base = alt.Chart(table).encode(x, y, detail="label:N", color=color)
    # The names at the ends of the lines, moved up where one would cover another.
    ends = table[table.budget == table.budget.max()].sort_values("mean", kind="stable")
    gap, places = 0.045 * np.ptp(table["mean"]), [-np.inf]
    for mean in ends["mean"]:
        places.append(max(mean, places[-1] + gap))
    ends = ends.assign(mean=places[1:], short=ends.label.map(short))
    text = alt.Chart(ends).mark_text(align="left", dx=8, fontSize=11, aria=False)
    dots = base.mark_point(filled=True, size=40, opacity=1).encode(**TEXT)
    lines = base.mark_line(strokeWidth=1.6, aria=False)
    text = text.encode(x, y, text="short:N", color=color)
    return (lines + dots + text).properties(width=440, height=300)


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
