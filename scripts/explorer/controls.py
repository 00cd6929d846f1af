"""The controls of a setup: an amount with slider, text and unit; buttons; the error beside them.

The setups in the session are the only truth. Before a control is drawn it gets its state from the
setup; a callback puts what was typed or moved into the setup, right or wrong.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from schedulers import Horizon
from scripts.explorer import fields, nodes
from scripts.explorer.fields import Node, Path
from scripts.explorer.setups import RUN_FIELDS, Setup
from scripts.explorer.texts import plain, say


class Controls:
    """The controls that every argument of a setup is made of.

    A path leads to an argument of the scheduler node; the key of a run field (`epochs`) is one too.

    Args:
        index: of the setup among those on the page.
        horizon: of the last run that could be drawn, for units and the sliders' spans.
        problem: the sentence on what is wrong with the setup, or empty.
        language: of the texts.
    """

    def __init__(self, index: int, horizon: Horizon, problem: str, language: str) -> None:
        self.index, self.horizon, self.language = index, horizon, language
        self.setup: Setup = st.session_state.setups[index]
        self.problem, self.wrong_key = problem, None
        if problem:
            keys = [fields.key_of(path) for path in _paths(self.setup.node, ())]
            self.wrong_key = nodes.place_of(problem, [*keys, *RUN_FIELDS]) or "scheduler"

    def say(self, key: str, **values: object) -> str:
        """Return a text in the page's language."""
        return say(key, self.language, **values)

    def _draw_amount(
        self, path: Path | str, value: Any, units: tuple[str, ...], label: str, slider: bool = True
    ) -> None:
        """Draw a number as a slider and as text, and its unit."""
        key, name = (path, path) if isinstance(path, str) else (fields.key_of(path), path[-1])
        number, unit = fields.take_apart(value, units)
        marks = fields.slider_span(str(name), value, units, self.horizon) if slider else []
        st.markdown(label)
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small",
            key=f"amount {self.index} {key}",
        ):  # fmt: skip
            if len(marks) > 1:
                self._draw_slider(path, key, marks, float(number), unit)
            text_key = self._seed(f"{key} text", number)
            st.text_input(
                label, key=text_key, label_visibility="collapsed", placeholder="null",
                width=92 if marks else "stretch",
                on_change=lambda: self._set_amount(path, st.session_state[text_key], unit),
            )  # fmt: skip
            if units:
                self._draw_unit(path, key, value, unit, units)
        self._show_problem(key)

    def _draw_slider(
        self, path: Path | str, key: str, marks: list[float], number: float, unit: str
    ) -> None:
        slider_key = self._seed(f"{key} slider {unit} {marks[-1]:g} {len(marks)}", number)

        def moved() -> None:
            self._set_amount(path, f"{st.session_state[slider_key]:.10g}", unit)

        st.select_slider(
            key, marks, key=slider_key, on_change=moved, label_visibility="collapsed",
            format_func=lambda mark: f"{mark:.10g}",
        )  # fmt: skip

    def _draw_unit(
        self, path: Path | str, key: str, value: Any, unit: str, units: tuple[str, ...]
    ) -> None:
        unit_key = self._seed(f"{key} unit", unit)

        def changed() -> None:
            new = st.session_state[unit_key]
            self._set(path, fields.change_unit(value, units, new, self.horizon))

        st.selectbox(
            self.say("unit"), units, key=unit_key, on_change=changed, format_func=self.say,
            label_visibility="collapsed", width=112,
        )  # fmt: skip

    def _draw_length(self, path: Path, label: str) -> None:
        value = nodes.value_at(self.setup.node, path)
        self._draw_amount(path, value, fields.LENGTH_UNITS, label)

    def _draw_button(
        self, key: str, path: Path, edit: Callable[[Node], Node], label: str = "", **look: Any
    ) -> None:
        """Draw a small button that edits the node at a path."""
        st.button(
            label, key=f"{self.index} {key}", on_click=self._edit, args=(path, edit),
            type="tertiary", **look,
        )  # fmt: skip

    def _draw_remove(self, path: Path, possible: bool) -> None:
        """Draw the button that removes an entry of a list."""
        *at, name, index = path
        self._draw_button(
            f"remove {path}", tuple(at), lambda n: nodes.remove_entry(n, str(name), int(index)),
            icon=":material/close:", help=self.say("remove"), disabled=not possible,
        )  # fmt: skip

    def _show_problem(self, key: str) -> None:
        """Show the sentence on what is wrong at the control that it is about, once."""
        if self.wrong_key == key:
            st.error(self.say("refused") + plain(self.problem))
            self.wrong_key = None

    def _seed(self, key: str, wanted: Any) -> str:
        """Set the state of a control to the setup's value; return the control's key."""
        full = f"{self.index} {key}"
        if full not in st.session_state or st.session_state[full] != wanted:
            st.session_state[full] = wanted
        return full

    def _change(self, **values: Any) -> None:
        """Change fields of the setup as it is now: a callback may come before the page is drawn."""
        setups = st.session_state.setups
        setups[self.index] = replace(setups[self.index], **values)

    def _set(self, path: Path | str, value: Any) -> None:
        if isinstance(path, str):
            self._change(**{RUN_FIELDS[path]: value})
        else:
            node = st.session_state.setups[self.index].node
            self._change(node=nodes.replaced(node, path, value))

    def _set_amount(self, path: Path | str, text: str, unit: str) -> None:
        self._set(path, fields.put_together(text, unit))

    def _edit(self, path: Path, edit: Callable[[Node], Node]) -> None:
        node = st.session_state.setups[self.index].node
        self._set(path, edit(nodes.value_at(node, path)))


def _paths(value: Any, path: Path) -> list[Path]:
    """Return the paths of the node, of everything in it, and of all arguments of its classes."""
    paths = [path]
    if isinstance(value, dict):
        paths += [field.path for field in fields.fields_of(value, path)]
        for name, entry in value.items():
            paths += _paths(entry, (*path, name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            paths += _paths(entry, (*path, index))
    return paths
