"""The explorer's controls: what is seen is what the setup says, what is moved changes the setup.

The setups in the session are the only truth. Before a control is drawn its state is set to what the
setup says; a callback puts what was typed or moved into the setup, right or wrong.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from schedulers import Horizon
from scripts.explorer import fields as fields
from scripts.explorer import nodes as nodes
from scripts.explorer.bridge import RUN_FIELDS, Setup
from scripts.explorer.fields import Node, Path
from scripts.explorer.texts import plain, say


class Controls:
    """What every control of a setup needs.

    Args:
        index: of the setup among those on the page.
        horizon: of the last run that could be drawn, for units and the sliders' spans.
        problem: what is wrong with the setup, or empty.
        language: of the texts.
    """

    def __init__(self, index: int, horizon: Horizon, problem: str, language: str) -> None:
        self.index, self.horizon, self.language = index, horizon, language
        self.setup: Setup = st.session_state.setups[index]
        self.problem, self.place = problem, None
        if problem:
            keys = [fields.key_of(path) for path in _paths(self.setup.node, ())]
            self.place = nodes.place_of(problem, [*keys, *RUN_FIELDS]) or "scheduler"

    def say(self, key: str, **values: object) -> str:
        """A text in the page's language."""
        return say(key, self.language, **values)

    def _draw_amount(
        self,
        key: str,
        name: str,
        value: Any,
        units: tuple[str, ...],
        meaning: str,
        setter: Callable[[Any], None],
        slider: bool = True,
    ) -> None:
        """A number as a slider and as text, and its unit."""
        number, unit = fields.take_apart(value, units)
        marks = fields.slider_span(name, value, units, self.horizon) if slider else []
        self._label(name, meaning)
        with st.container(
            horizontal=True,
            vertical_alignment="center",
            gap="small",
            key=f"amount {self.index} {key}",
        ):
            if len(marks) > 1:
                self._slider(key, marks, float(number), unit, setter)
            text_key = self._seed(f"{key} text", number)
            st.text_input(
                name or meaning, key=text_key, label_visibility="collapsed", placeholder="null",
                width=92 if marks else "stretch",
                on_change=lambda: setter(fields.put_together(st.session_state[text_key], unit)),
            )  # fmt: skip
            if units:
                self._unit(key, value, unit, units, setter)
        self._tell(key)

    def _slider(
        self, key: str, marks: list[float], number: float, unit: str, setter: Callable[[Any], None]
    ) -> None:
        slider_key = self._seed(f"{key} slider {unit} {marks[-1]:g} {len(marks)}", number)

        def moved() -> None:
            setter(fields.put_together(f"{st.session_state[slider_key]:.10g}", unit))

        st.select_slider(
            key, marks, key=slider_key, on_change=moved, label_visibility="collapsed",
            format_func=lambda mark: f"{mark:.10g}",
        )  # fmt: skip

    def _unit(
        self, key: str, value: Any, unit: str, units: tuple[str, ...], setter: Callable[[Any], None]
    ) -> None:
        unit_key = self._seed(f"{key} unit", unit)

        def changed() -> None:
            setter(fields.change_unit(value, units, st.session_state[unit_key], self.horizon))

        st.selectbox(
            self.say("unit"), units, key=unit_key, on_change=changed, format_func=self.say,
            label_visibility="collapsed", width=112,
        )  # fmt: skip

    # --- what all of them need ------------------------------------------------------------------

    def _label(self, name: str, meaning: str) -> None:
        st.markdown(f"`{name}` {meaning}" if name else meaning)

    def _tell(self, key: str) -> None:
        """The sentence on what is wrong, at the control that it is about, once."""
        if self.place == key:
            st.error(self.say("refused") + plain(self.problem))
            self.place = None

    def _button(
        self, key: str, action: Callable[..., None], *args: Any, label: str = "", **look: Any
    ) -> None:
        st.button(label, key=f"{self.index} {key}", on_click=action, args=args, **look)

    def _seed(self, key: str, wanted: Any) -> str:
        """Set the state of a control to what the setup says; returns the control's key."""
        full = f"{self.index} {key}"
        if full not in st.session_state or st.session_state[full] != wanted:
            st.session_state[full] = wanted
        return full

    def _now(self) -> Setup:
        setup: Setup = st.session_state.setups[self.index]
        return setup

    def _change(self, setup: Setup) -> None:
        st.session_state.setups[self.index] = setup

    def _set(self, path: Path, value: Any) -> None:
        now = self._now()
        self._change(replace(now, node=nodes.replaced(now.node, path, value)))

    def _edit(self, path: Path, edit: Callable[[Node], Node]) -> None:
        self._set(path, edit(nodes.value_at(self._now().node, path)))

    def _run_setter(self, name: str) -> Callable[[Any], None]:
        return lambda value: self._change(replace(self._now(), **{name: value}))


def _paths(value: Any, path: Path) -> list[Path]:
    """Of the node, of everything in it, and of the arguments that its classes have besides."""
    paths = [path]
    if isinstance(value, dict):
        paths += [field.path for field in fields.fields_of(value, path) if not field.given]
        for name, entry in value.items():
            paths += _paths(entry, (*path, name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            paths += _paths(entry, (*path, index))
    return paths


def last_word(target: str) -> str:
    """The class in a dotted path."""
    return target.rpartition(".")[2]


def words(text: str) -> list[str]:
    """The entries of a list as it was typed, with or without brackets."""
    return [word.strip() for word in text.strip("[] ").split(",")]
