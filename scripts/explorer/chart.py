"""The explorer's charts: which points, how they are drawn, and the curve that draws itself."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from plots.curves import COLORS, line_points, log_floor, nice_ticks, thin_points
from schedulers import Horizon
from schedulers.lint import Finding, lint_trace
from scripts.explorer import bridge
from scripts.explorer.bridge import Setup
from scripts.explorer.texts import say

EVENLY = 240  # steps at which the pointer finds the rate, beside those that draw the curve
HEIGHT = 330
RATE_LABEL = "datum.value && abs(datum.value) < 1e-3 ? format(datum.value, '~e') : datum.label"
INK, GRAY, PALE = "#222222", "#6B7280", "#E5E7EB"


@dataclass(frozen=True)
class Drawn:
    """What is said of a curve.

    Attributes:
        horizon: the run.
        area: mean rate as a share of the base rate.
        peak: highest rate.
        least: lowest rate.
        above: share of the steps at more than half the peak.
    """

    horizon: Horizon
    area: float
    peak: float
    least: float
    above: float


def content(setup: Setup) -> str:
    """What decides the curve, as text."""
    return json.dumps(asdict(setup))


def describe(setup: Setup) -> Drawn:
    """The figures of a setup.

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
    return tuple(thin_points(rates))


def chart_rows(setups: Sequence[Setup], current: int, log: bool) -> pa.Table:
    """The points of all curves, at common steps, so that the pointer reads all of them at once.

    Columns: curve (`c0`, `c1`, ...), step, epoch (of the current curve), rate, shown (the rate, or
    the foot of a logarithmic axis).
    """
    drawn = [describe(setup) for setup in setups]
    floor = log_floor(map(bridge.trace_array, setups)) if log else None
    longest = max(d.horizon.total_steps for d in drawn)
    steps = {int(s) for s in np.linspace(0, longest - 1, min(EVENLY, longest))}
    for setup in setups:
        steps.update(_points(content(setup), floor))
    ordered = np.array(sorted(steps))
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
    area, lines, dots = _curves(len(labels), current, x, y, step_axis(words["step"]))
    layers = [lines, _reading(epochs, told, words), dots]
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


def step_axis(title: str) -> dict[str, Any]:
    """The axis below a chart."""
    return {"title": title, "format": ",d", "grid": False, "tickCount": 6, "labelFlush": True}


def epoch_axis(title: str, per_epoch: int, longest: int) -> dict[str, Any]:
    """The same axis counted in epochs, with ticks at round ones."""
    values = [value * per_epoch for value in nice_ticks(0, longest / per_epoch)]
    told = f"format(datum.value / {per_epoch}, '~g')"
    return {"title": title, "orient": "top", "grid": False, "values": values,
            "labelExpr": told, "labelFlush": True}  # fmt: skip


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
