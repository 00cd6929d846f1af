"""The page's chart: its points, how they are drawn, and the figures below it."""

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from plots.curves import COLORS, line_points, log_floor, nice_ticks, thin_points
from schedulers.lint import Finding, lint_trace
from scripts.explorer.setups import Setup, trace
from scripts.explorer.texts import say

EVENLY = 240  # steps at which the pointer finds the rate, beside those that draw the curve
HEIGHT = 330
RATE_LABEL = "datum.value && abs(datum.value) < 1e-3 ? format(datum.value, '~e') : datum.label"
GRAY, PALE = "#6B7280", "#E5E7EB"


@lru_cache(256)
def figures(setup: Setup) -> dict[str, str]:
    """Return the figures below the chart, as text.

    area: mean rate as a share of the base rate. peak, least: highest and lowest rate. above: share
    of the steps at more than half the peak.
    """
    rates = trace(setup)
    peak = float(rates.max())
    above = float((rates > peak / 2).mean()) if peak > 0 else 0.0
    return {
        "area": f"{float(rates.mean()) / setup.base_lr:.0%}",
        "peak": f"{peak:.3g}",
        "least": f"{float(rates.min()):.3g}",
        "above": f"{above:.0%}",
    }


@lru_cache(256)
def find_traps(setup: Setup) -> tuple[Finding, ...]:
    """Return what the lint finds in a setup that can be drawn."""
    return tuple(lint_trace(setup.node, [setup.base_lr], setup.horizon, [trace(setup)]))


@lru_cache(256)
def _points(setup: Setup, floor: float | None) -> tuple[int, ...]:
    rates = trace(setup)
    return tuple(thin_points(rates) if floor is None else line_points(rates, floor)[0])


def chart_rows(setups: Sequence[Setup], current: int, log: bool) -> pa.Table:
    """Return the points of all curves at common steps, so that the pointer reads all at once.

    Columns: curve (`c0`, `c1`, ...), step, epoch (of the current curve), rate, shown (the rate, or
    the foot of a logarithmic axis).
    """
    floor = log_floor(map(trace, setups)) if log else None
    longest = max(setup.horizon.total_steps for setup in setups)
    steps = {int(s) for s in np.linspace(0, longest - 1, min(EVENLY, longest))}
    for setup in setups:
        steps.update(_points(setup, floor))
    ordered = np.array(sorted(steps))
    tables = []
    for index, setup in enumerate(setups):
        shared = ordered[ordered < setup.horizon.total_steps]
        rates = trace(setup)[shared]
        columns = {
            "curve": [f"c{index}"] * len(shared),
            "step": shared,
            "epoch": shared / setups[current].horizon.steps_per_epoch,
            "rate": rates,
            "shown": rates if floor is None else np.maximum(rates, floor),
        }
        tables.append(pa.table(columns))
    return signed(pa.concat_tables(tables))


def signed(rows: pa.Table) -> pa.Table:
    """Return the rows with an empty column that is named after what they hold.

    Streamlit 1.60's page recognizes new data by their size and the names of their columns: a
    curve of as many points with other rates would not be drawn.
    """
    batches = rows.combine_chunks().to_batches()
    buffers = [b for batch in batches for column in batch.columns for b in column.buffers() if b]
    name = f"{zlib.crc32(b''.join(buffers)):08x}"
    return rows.append_column(name, pa.nulls(rows.num_rows))


def chart_spec(
    setups: Sequence[Setup], labels: Sequence[str], current: int, log: bool, language: str
) -> dict[str, Any]:
    """Return the Vega-Lite of `chart_rows`, without the data, so that a slider moves only data.

    Not made with altair: its import and checks take as long as all the rest.
    """
    words = {key: say(key, language) for key in ("step", "epoch", "rate")}
    longest = max(setup.horizon.total_steps for setup in setups)
    scale = {"domain": [0, longest], "nice": False}
    x = {"field": "step", "type": "quantitative", "scale": scale, "axis": None}
    y = {
        "field": "shown",
        "type": "quantitative",
        "scale": {"type": "log" if log else "linear", "zero": not log, "nice": not log},
        "axis": {"title": words["rate"], "tickCount": 5, "labelExpr": RATE_LABEL, "format": "~g"},
    }
    per_epoch = setups[current].horizon.steps_per_epoch
    epochs = x | {"axis": epoch_axis(words["epoch"], per_epoch, longest)}
    area, lines, dots = _curves(len(labels), current, x, y, step_axis(words["step"]))
    layers = [lines, _reading(epochs, labels, words), dots]
    return {
        # An area reaches down to 0, which a logarithmic axis has not.
        "layer": layers if log else [area, *layers],
        "resolve": {"axis": {"x": "independent"}},
        "height": HEIGHT,
        "width": "container",
        "config": CONFIG,
        "usermeta": {"embedOptions": {"renderer": "canvas"}},
    }


def _curves(
    count: int, current: int, x: dict[str, Any], y: dict[str, Any], steps: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the area under the current curve, all lines, and dots where the pointer is."""
    curves = [f"c{index}" for index in range(count)]
    here = f"datum.curve === 'c{current}'"
    scale = {"domain": curves, "range": list(COLORS[:count])}
    color = {"field": "curve", "type": "nominal", "legend": None, "scale": scale}
    width = {"condition": {"test": here, "value": 2.6}, "value": 1.7}
    area = {
        "transform": [{"filter": here}],
        "mark": {"type": "area", "opacity": 0.07, "color": COLORS[current]},
        "encoding": {"x": x, "y": y},
    }
    lines = {
        "mark": {"type": "line", "strokeJoin": "round"},
        "encoding": {"x": x | {"axis": steps}, "y": y, "color": color, "strokeWidth": width},
    }
    dots = {
        "transform": [{"filter": {"param": "reading", "empty": False}}],
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
        "encoding": {"x": x, "y": y, "color": color},
    }
    return area, lines, dots


def _reading(x: dict[str, Any], labels: Sequence[str], words: dict[str, str]) -> dict[str, Any]:
    """Return the line that follows the pointer, with step, epoch and all rates there."""
    tooltip = [
        {"field": "step", "type": "quantitative", "title": words["step"], "format": ","},
        {"field": "epoch", "type": "quantitative", "title": words["epoch"], "format": ".2f"},
    ]
    tooltip += [
        {"field": f"c{index}", "type": "quantitative", "title": f"lr {label}", "format": ".4g"}
        for index, label in enumerate(labels)
    ]
    pivot = {"pivot": "curve", "value": "rate", "groupby": ["step", "epoch"]}
    nearest = {"type": "point", "nearest": True, "on": "pointermove", "clear": "pointerout",
               "fields": ["step"], "encodings": []}  # fmt: skip
    opacity = {"condition": {"param": "reading", "value": 0.6, "empty": False}, "value": 0}
    return {
        "transform": [pivot],
        "params": [{"name": "reading", "select": nearest}],
        "mark": {"type": "rule", "color": GRAY, "strokeWidth": 1},
        "encoding": {"x": x, "opacity": opacity, "tooltip": tooltip},
    }


def step_axis(title: str) -> dict[str, Any]:
    """Return the axis below the chart."""
    return {"title": title, "format": ",d", "grid": False, "tickCount": 6, "labelFlush": True}


def epoch_axis(title: str, per_epoch: int, longest: int) -> dict[str, Any]:
    """Return the same axis counted in epochs, with ticks at round ones."""
    values = [value * per_epoch for value in nice_ticks(0, longest / per_epoch)]
    label = f"format(datum.value / {per_epoch}, '~g')"
    return {"title": title, "orient": "top", "grid": False, "values": values,
            "labelExpr": label, "labelFlush": True}  # fmt: skip


CONFIG = {
    "font": "inherit, sans-serif",
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": GRAY, "titleColor": GRAY, "titleFontWeight": "normal", "labelFontSize": 12,
        "titleFontSize": 12, "gridColor": PALE, "domainColor": PALE, "tickColor": PALE,
        "labelPadding": 5, "titlePadding": 6,
    },
}  # fmt: skip
