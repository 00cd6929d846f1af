"""The explorer's second view: what a run planned, what it applied, and what came of it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st

from plots.curves import COLORS, line_points
from scripts.explorer.chart import CONFIG, GRAY, INK, epoch_axis, signed, step_axis
from scripts.explorer.run_curves import RunCurves, read_runs
from scripts.explorer.texts import plain, say

MOST_RUNS = 12  # on one chart
LISTED = 100  # folders to choose from
LOOPBACK = ("127.0.0.1", "localhost", "::1")
RATE_HEIGHT, ACCURACY_HEIGHT = 260, 220


def draw_runs(language: str) -> None:
    """Choose a folder and see its curves."""
    state = st.session_state
    listed = list_folders()
    folder = state.view["folder"] or (listed[0] if listed else "")
    if state.get("view folder") != (folder or None):
        state["view folder"] = folder or None

    def changed() -> None:
        state.view["folder"] = state["view folder"] or ""

    options = listed if not folder or folder in listed else [folder, *listed]
    st.selectbox(
        say("folder", language), options, key="view folder", accept_new_options=True,
        on_change=changed, help=say("folder_help", language), placeholder="outputs/…",
    )  # fmt: skip
    if not folder:
        st.info(say("no_runs", language))
        return
    try:
        check_place(folder, language)
        with st.spinner("…"):
            runs = cached_runs(folder, _newest(Path(folder)))
    except ValueError as error:
        st.error(say("refused", language) + plain(str(error)))
        return
    draw_curves(runs, language)


def list_folders() -> list[str]:
    """Run folders and sweeps below outputs/ and multirun/, the newest first."""
    found = [path for place in ("outputs", "multirun") for path in Path(place).glob("*/")]
    return [str(path) for path in sorted(found, key=_newest, reverse=True)][:LISTED]


def _newest(folder: Path) -> float:
    """When something in the folder, or in a run in it, was last written; 0 where it is gone."""
    try:
        return max(
            entry.stat().st_mtime for entry in [folder, *folder.glob("*"), *folder.glob("*/*")]
        )
    except (OSError, ValueError):
        return 0.0


def check_place(folder: str, language: str) -> None:
    """A page that others can reach must not show them the rest of this machine.

    Raises:
        ValueError: the folder is not below the one that the page was started in.
    """
    place = Path.cwd().resolve()
    if st.get_option("server.address") in LOOPBACK:
        return
    if "\0" in folder or not Path(folder).resolve().is_relative_to(place):
        raise ValueError(say("outside", language, place=place.name))


@st.cache_data(max_entries=4, show_spinner=False)
def cached_runs(folder: str, _stamp: float) -> list[RunCurves]:
    """The runs, read again where something was written since."""
    return read_runs(folder)


def draw_curves(runs: Sequence[RunCurves], language: str) -> None:
    """Two charts on one step axis, and a line for each run."""
    shown = runs[:MOST_RUNS]
    if len(shown) < len(runs):
        st.caption(say("too_many_runs", language, shown=len(shown), total=len(runs)))
    known = [run for run in shown if run.horizon]
    total = max([run.horizon.total_steps for run in known] or [1])
    total = max([total, *(step for run in shown for step, _ in [*run.applied, *run.evaluations])])
    per_epoch = known[0].horizon.steps_per_epoch if known else total
    epochs = epoch_axis(say("epoch", language), per_epoch, total)
    rates, points = rate_rows(shown, language), accuracy_rows(shown, language)
    if rates.num_rows:
        st.vega_lite_chart(rates, rate_spec(len(shown), total, epochs, language), theme=None)
    if points.num_rows:
        st.vega_lite_chart(points, accuracy_spec(len(shown), total, language), theme=None)
    for index, run in enumerate(shown):
        st.html(run_line(run, COLORS[index % len(COLORS)], language))
        for problem in run.problems:
            st.html(f'<p class="lint">▲ {escape(problem)}</p>')


def rate_rows(runs: Sequence[RunCurves], language: str) -> pa.Table:
    """Few points that draw what was planned and what was applied."""
    rows: list[dict[str, Any]] = []
    for index, run in enumerate(runs):
        every = (run.horizon.steps_per_epoch if run.horizon else 1) or 1
        lines = {"planned": (range(len(run.planned)), run.planned)}
        if run.applied:
            lines["applied"] = tuple(zip(*run.applied, strict=True))
        for kind, (steps, rates) in lines.items():
            for place in line_points(rates)[0] if len(rates) else []:
                rows.append(
                    {"run": f"r{index}", "kind": kind, "step": steps[place], "rate": rates[place],
                     "epoch": steps[place] / every, "told": f"{run.label}, {say(kind, language)}"}
                )  # fmt: skip
    return signed(pa.Table.from_pylist(rows))


def accuracy_rows(runs: Sequence[RunCurves], language: str) -> pa.Table:
    """One row per evaluation."""
    rows = [
        {"run": f"r{index}", "step": step, "accuracy": value, "told": run.label,
         "epoch": step / (run.horizon.steps_per_epoch if run.horizon else 1)}
        for index, run in enumerate(runs)
        for step, value in run.evaluations
    ]  # fmt: skip
    return signed(pa.Table.from_pylist(rows))


def rate_spec(count: int, total: int, epochs: dict[str, Any], language: str) -> dict[str, Any]:
    """Applied rates as wide lines, planned ones dashed over them."""
    y = _axis_y("rate", say("rate", language), "~g")
    x = _axis_x(total)
    applied = {
        "transform": [{"filter": "datum.kind === 'applied'"}],
        "mark": {"type": "line", "strokeWidth": 5, "opacity": 0.55, "strokeJoin": "round"},
        "encoding": {"x": x | {"axis": step_axis("")}, "y": y, "color": _color(count)},
    }
    planned = {
        "transform": [{"filter": "datum.kind === 'planned'"}],
        "mark": {"type": "line", "strokeWidth": 1.4, "strokeDash": [4, 3], "color": INK},
        "encoding": {"x": x | {"axis": epochs}, "y": y, "detail": {"field": "run"}},
    }
    return _layers([applied, planned, _pointer("rate", x, y, language)], RATE_HEIGHT)


def accuracy_spec(count: int, total: int, language: str) -> dict[str, Any]:
    """Validation accuracy after each evaluation, on the axis of the rates."""
    y = _axis_y("accuracy", f"{say('val_top1', language)} (%)", "~g")
    x = _axis_x(total)
    line = {
        "mark": {"type": "line", "point": {"size": 22}, "strokeWidth": 2},
        "encoding": {"x": x | {"axis": step_axis(say("step", language))}, "y": y,
                     "color": _color(count)},
    }  # fmt: skip
    return _layers([line, _pointer("accuracy", x, y, language)], ACCURACY_HEIGHT)


def _axis_x(total: int) -> dict[str, Any]:
    scale = {"domain": [0, total], "nice": False}
    return {"field": "step", "type": "quantitative", "scale": scale, "axis": None}


def _axis_y(name: str, title: str, form: str) -> dict[str, Any]:
    # Both charts leave the same room at the left, so that their steps stand under each other.
    axis = {"title": title, "format": form, "tickCount": 5, "minExtent": 44, "maxExtent": 44}
    return {"field": name, "type": "quantitative", "axis": axis}


def _color(count: int) -> dict[str, Any]:
    names = [f"r{index}" for index in range(count)]
    colors = [COLORS[index % len(COLORS)] for index in range(count)]
    return {"field": "run", "legend": None, "scale": {"domain": names, "range": colors}}


def _pointer(name: str, x: dict[str, Any], y: dict[str, Any], language: str) -> dict[str, Any]:
    """Invisible points, of which the nearest tells what it is."""
    nearest = {"type": "point", "nearest": True, "on": "pointermove", "clear": "pointerout",
               "encodings": ["x", "y"]}  # fmt: skip
    told = {"step": ",", "epoch": ".2f", name: ".4g"}
    words = {"accuracy": "val_top1"}
    tooltip = [{"field": "told", "title": say("run_name", language)}] + [
        {"field": field, "type": "quantitative", "format": form,
         "title": say(words.get(field, field), language)}
        for field, form in told.items()
    ]  # fmt: skip
    opacity = {"condition": {"param": "near", "value": 1, "empty": False}, "value": 0}
    return {
        "params": [{"name": "near", "select": nearest}],
        "mark": {"type": "point", "filled": True, "size": 50, "color": GRAY},
        "encoding": {"x": x, "y": y, "opacity": opacity, "tooltip": tooltip},
    }


def _layers(layers: list[dict[str, Any]], height: int) -> dict[str, Any]:
    return {
        "layer": layers,
        "resolve": {"axis": {"x": "independent"}},
        "height": height,
        "width": "container",
        "config": CONFIG,
    }


def run_line(run: RunCurves, color: str, language: str) -> str:
    """A run in one line: its name, how it ended, how many rates were as planned, its accuracy."""
    cells = [say(run.status, language)]
    pairs = [(rate, run.planned[step]) for step, rate in run.applied if step < len(run.planned)]
    if pairs and run.planned:
        equal = int(np.sum(np.float32([a for a, _ in pairs]) == np.float32([b for _, b in pairs])))
        cells.append(say("as_planned", language, equal=equal, total=len(run.applied)))
    if run.evaluations:
        cells.append(f"{say('val_top1', language)} <b>{run.evaluations[-1][1]:.2f} %</b>")
    told = "".join(f"<span>{cell}</span>" for cell in cells)
    dot = f'<i style="background:{color}"></i>'
    return f'<div class="figures">{dot}<b>{escape(run.label)}</b>{told}</div>'
