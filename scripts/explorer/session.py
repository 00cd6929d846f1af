"""State of one visitor's session: the curves, the view, and the address that holds both.

`setups` are the curves as they are being changed, right or wrong; `good` the same as they were when
they last could be drawn; `current` the one that is changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from plots.curves import COLORS
from scripts.explorer import bridge
from scripts.explorer.nodes import templates
from scripts.explorer.setups import Setup, names, shipped, trace
from scripts.explorer.texts import LANGUAGES

FIRST = "cosine_warm_restarts"
MOST_CURVES = len(COLORS)


def start() -> None:
    """Fill a new session, from the address if it holds anything."""
    state, address = st.session_state, st.query_params.to_dict()
    if "setups" in state:
        return
    setups, view, state.complaint = [], {}, ""
    try:
        setups, view = bridge.read_state(address)
        for setup in setups:
            trace(setup)
    except ValueError as error:
        setups, state.complaint = [], str(error)
        view = {"lang": address.get("lang")}  # the language of the sentence on what is wrong
    state.setups = setups[:MOST_CURVES] or [Setup(FIRST, shipped(FIRST))]
    state.good = list(state.setups)
    places = [str(index) for index in range(len(state.setups))]
    state.current = places.index(view["edit"]) if view.get("edit") in places else 0
    lang = view["lang"] if view.get("lang") in LANGUAGES else "en"
    state.view, state.address = {"lang": lang, "log": view.get("log") == "true"}, address


def remember() -> str:
    """Put what the page shows into its address; return why not, where it cannot be."""
    state, view = st.session_state, {}
    if state.view["lang"] != "en":
        view["lang"] = state.view["lang"]
    if state.view["log"]:
        view["log"] = "true"
    if state.current:
        view["edit"] = str(state.current)
    try:
        address = bridge.write_state(state.good, view)
    except ValueError as error:
        return str(error)
    if address != state.address:
        state.address = address
        st.query_params.from_dict(address)
    return ""


def switch(name: str, options: Sequence[Any], show: Callable[[Any], str]) -> None:
    """Draw a choice that belongs to the view."""
    state, key = st.session_state, f"view {name}"
    if state.get(key) != state.view[name]:
        state[key] = state.view[name]

    def changed() -> None:
        if state[key] is not None:
            state.view[name] = state[key]

    st.segmented_control(
        name, options, key=key, format_func=show, on_change=changed, label_visibility="collapsed"
    )


def add() -> None:
    """Add a copy of the current curve, and make it the current one."""
    state = st.session_state
    for curves in (state.setups, state.good):
        curves.append(state.good[state.current])
    state.update(current=len(state.setups) - 1)


def remove(index: int) -> None:
    """Take a curve off the chart."""
    state = st.session_state
    for curves in (state.setups, state.good):
        del curves[index]
    state.current -= state.current > index or state.current == len(state.setups)


def address() -> str:
    """Return the page's address with all that is on it."""
    base = (st.context.url or "").split("?")[0]
    return f"{base}?{urlencode(st.session_state.address)}"


def paste() -> None:
    """Put what was pasted in place of the current curve, if it can be drawn."""
    state = st.session_state
    text, state.pasted_wrong = state.pasted.strip(), ""
    present = state.good[state.current]
    try:
        if not text:
            raise ValueError("there is nothing to draw.")
        if "_target_:" in text and "\n" in text:
            node = bridge.read_yaml(text)
            setup = replace(present, node=node, name=nearest_name(node))
        else:
            setup = bridge.read_command(text)
        trace(setup)
    except ValueError as error:
        state.pasted_wrong = str(error)
        return
    state.setups[state.current] = setup


def nearest_name(node: dict[str, Any]) -> str:
    """Return the schedule that equals the node, else the first of its class, else `none`."""
    equal = [name for name in names() if shipped(name) == node]
    return equal[0] if equal else templates().get(node["_target_"], "none")


def labels_of(setups: Sequence[Setup]) -> list[str]:
    """Return the schedules' names, with what was changed where two have the same."""
    labels: list[str] = []
    for setup in setups:
        words = [setup.name]
        if [other.name for other in setups].count(setup.name) > 1:
            words += bridge.write_overrides(setup).split(" ")[1:]
        label = " ".join(words).replace("scheduler.", "").replace("optimizer.", "")
        label = label[:47] + "…" if len(label) > 48 else label
        labels.append(f"{label} ({len(labels) + 1})" if label in labels else label)
    return labels
