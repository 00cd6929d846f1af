"""The explorer's charts: which points, how they are drawn, and the curve that draws itself."""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from plots.curves import COLORS, MOST_MARKS, corner_points, find_corners, line_points
from schedulers import Horizon
from schedulers.lint import Finding, lint_trace
from scripts.explorer import bridge
from scripts.explorer.bridge import Setup
from scripts.explorer.texts import say

MOST_POINTS = 2000  # of one curve
EVENLY = 240  # steps at which the pointer finds the rate, beside those that draw the curve
HEIGHT = 330
RATE_LABEL = "datum.value && abs(datum.value) < 1e-3 ? format(datum.value, '~e') : datum.label"
INK, GRAY, PALE = "#222222", "#6B7280", "#E5E7EB"


@dataclass(frozen=True)
class Drawn:
    """What is said of a curve.

    Attributes:
        horizon: the run.
        corners: restarts, milestones and bends by step.
        area: mean rate as a share of the base rate.
        peak: highest rate.
        least: lowest rate.
        above: share of the steps at more than half the peak.
    """

    horizon: Horizon
    corners: dict[int, str]
    area: float
    peak: float
    least: float
    above: float


def content(setup: Setup) -> str:
    """What decides the curve, as text."""
    return json.dumps(asdict(setup))


def describe(setup: Setup) -> Drawn:
    """The figures, corners and findings of a setup.

    Raises:
        ValueError: no curve can be drawn.
    """
    bridge.check_setup(setup)
    return _describe(content(setup))


@lru_cache(maxsize=256)
def _describe(text: str) -> Drawn:
    setup = Setup(**json.loads(text))
    values = bridge.trace_array(setup)
    peak = float(values.max())
    return Drawn(
        setup.horizon,
        find_corners(values),
        float(values.mean()) / setup.base_lr,
        peak,
        float(values.min()),
        float((values > peak / 2).mean()) if peak > 0 else 0.0,
    )


def find_traps(setup: Setup) -> tuple[Finding, ...]:
    """What the lint says of a setup that can be drawn; not needed for the chart, so not awaited."""
    return _find_traps(content(setup))


@lru_cache(maxsize=256)
def _find_traps(text: str) -> tuple[Finding, ...]:
    setup = Setup(**json.loads(text))
    trace = [bridge.trace_array(setup)]
    return tuple(lint_trace(setup.node, [setup.base_lr], setup.horizon, trace))


@lru_cache(maxsize=256)
def _points(text: str, floor: float | None) -> tuple[int, ...]:
    rates = bridge.trace_array(Setup(**json.loads(text)))
    if floor is not None:
        return tuple(line_points(rates, floor)[0])
    return tuple(corner_points(rates, MOST_POINTS, corners=_describe(text).corners))


def log_floor(drawn: Sequence[Drawn]) -> float:
    """The lowest rate on a logarithmic axis: one to five decades below the highest."""
    top = max((d.peak for d in drawn), default=0.0)
    if not 0 < top < math.inf:
        return 1e-5
    least = min((d.least for d in drawn if d.least > 0), default=1e-5 * top)
    return min(max(least, 1e-5 * top), 0.1 * top)


def chart_rows(setups: Sequence[Setup], current: int, log: bool) -> pa.Table:
    """The points of all curves, at common steps, so that the pointer reads all of them at once.

    Columns: curve (`c0`, `c1`, ...), step, epoch (of the current curve), rate, shown (the rate, or
    the foot of a logarithmic axis), mark (`up`, `down`, `bend` of the current curve, else empty).
    """
    drawn = [describe(setup) for setup in setups]
    floor = log_floor(drawn) if log else None
    longest = max(d.horizon.total_steps for d in drawn)
    steps = {int(s) for s in np.linspace(0, longest - 1, min(EVENLY, longest))}
    for setup in setups:
        steps.update(_points(content(setup), floor))
    ordered = np.array(sorted(steps))
    marks = drawn[current].corners if len(drawn[current].corners) <= MOST_MARKS else {}
    tables = []
    for index, setup in enumerate(setups):
        own = ordered[ordered < drawn[index].horizon.total_steps]
        rates = bridge.trace_array(setup)[own]
        columns = {
            "curve": [f"c{index}"] * len(own),
            "step": own,
            "epoch": own / drawn[current].horizon.steps_per_epoch,
            "rate": rates,
            "shown": rates if floor is None else np.maximum(rates, floor),
            "mark": [marks.get(int(s), "") if index == current else "" for s in own],
        }
        tables.append(pa.table(columns))
    return signed(pa.concat_tables(tables))


def signed(rows: pa.Table) -> pa.Table:
    """The rows with an empty column that is named after what they hold.

    Streamlit 1.60's page tells new data from old by their size and the names of their columns: a
    curve of as many points with other rates would not be drawn.
    """
    batches = rows.combine_chunks().to_batches()
    buffers = [b for batch in batches for column in batch.columns for b in column.buffers() if b]
    name = f"{zlib.crc32(b''.join(buffers)):08x}"
    return rows.append_column(name, pa.nulls(rows.num_rows))


def chart_spec(
    labels: Sequence[str], current: int, horizon: Horizon, longest: int, log: bool, language: str
) -> dict[str, Any]:
    """The Vega-Lite of `chart_rows`. It has no data in it, so that a slider moves only data.

    Written as it is and not with altair, whose import and checks take as long as all the rest.
    """
    words = {key: say(key, language) for key in ("step", "epoch", "rate")}
    told = {f"c{index}": f"lr {label}" for index, label in enumerate(labels)}
    scale = {"domain": [0, longest], "nice": False}
    x = {"field": "step", "type": "quantitative", "scale": scale, "axis": None}
    y = {
        "field": "shown",
        "type": "quantitative",
        "scale": {"type": "log" if log else "linear", "zero": not log, "nice": not log},
        "axis": {"title": words["rate"], "tickCount": 5, "labelExpr": RATE_LABEL, "format": "~g"},
    }
    epochs = x | {"axis": epoch_axis(words["epoch"], horizon.steps_per_epoch, longest)}
    rules, heads, rings = _marks(x, y)
    area, lines, dots = _curves(len(labels), current, x, y, step_axis(words["step"]))
    layers = [rules, lines, heads, rings, _reading(epochs, told, words), dots]
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
    """The area under the current curve, all lines, and a dot on each where the pointer is."""
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


def _reading(x: dict[str, Any], told: dict[str, str], words: dict[str, str]) -> dict[str, Any]:
    """The line that follows the pointer and tells the step, the epoch and all rates there."""
    tooltip = [
        {"field": "step", "type": "quantitative", "title": words["step"], "format": ","},
        {"field": "epoch", "type": "quantitative", "title": words["epoch"], "format": ".2f"},
    ]
    tooltip += [
        {"field": curve, "type": "quantitative", "title": label, "format": ".4g"}
        for curve, label in told.items()
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


def _marks(x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    """A dotted line and an arrowhead at each jump, a ring at each bend of the current curve."""
    jumps = [{"filter": "datum.mark === 'up' || datum.mark === 'down'"}]
    heads = {"domain": ["up", "down"], "range": ["triangle-up", "triangle-down"]}
    shape = {"field": "mark", "type": "nominal", "legend": None, "scale": heads}
    line = {"type": "rule", "color": GRAY, "strokeDash": [2, 3], "opacity": 0.7}
    head = {"type": "point", "fill": INK, "stroke": "white", "size": 75, "opacity": 1}
    ring = {"type": "point", "color": GRAY, "fill": "white", "size": 40, "opacity": 1}
    top = {"x": x, "y": {"value": 6}, "shape": shape}
    return [
        {"transform": jumps, "mark": line, "encoding": {"x": x}},
        {"transform": jumps, "mark": head, "encoding": top},
        {
            "transform": [{"filter": "datum.mark === 'bend'"}],
            "mark": ring,
            "encoding": {"x": x, "y": y},
        },
    ]


def step_axis(title: str) -> dict[str, Any]:
    """The axis below a chart."""
    return {"title": title, "format": ",d", "grid": False, "tickCount": 6, "labelFlush": True}


def epoch_axis(title: str, per_epoch: int, longest: int) -> dict[str, Any]:
    """The same axis counted in epochs, with ticks at round ones."""
    values = [value * per_epoch for value in nice_numbers(longest / per_epoch)]
    told = f"format(datum.value / {per_epoch}, '~g')"
    return {"title": title, "orient": "top", "grid": False, "values": values,
            "labelExpr": told, "labelFlush": True}  # fmt: skip


def nice_numbers(high: float, most: int = 6) -> list[float]:
    """Round numbers from 0 to `high`.

    >>> nice_numbers(30), nice_numbers(2)
    ([0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0], [0.0, 0.5, 1.0, 1.5, 2.0])
    """
    power = 10.0 ** np.floor(np.log10(high / most))
    step = next(m * power for m in (1, 2, 5, 10) if high / (m * power) <= most)
    count = int(high / step + 1e-9)
    return [float(f"{k * step:.10g}") for k in range(count + 1)]


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
