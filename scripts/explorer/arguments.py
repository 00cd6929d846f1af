"""The explorer's controls of the arguments of one node: amounts, lengths, knots, switches."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from scripts.explorer import bridge
from scripts.explorer import fields as fields
from scripts.explorer import nodes as nodes
from scripts.explorer.controls import Controls, words
from scripts.explorer.fields import Field, Node, Path
from scripts.explorer.texts import Entry, read_guide


class Arguments(Controls):
    """The controls of the arguments of one node."""

    def _draw_field(self, field: Field, node: Node) -> None:
        meaning = self._meaning(field, node)
        if field.kind == "lengths":
            self._draw_lengths(field, meaning)
        elif field.kind == "knots":
            self._draw_knots(field, node, meaning)
        elif field.kind in ("switch", "choice", "join"):
            self._draw_choice_of(field, meaning)
        else:
            self._draw_amount(
                fields.key_of(field.path), field.name, field.value, field.units, meaning,
                lambda value: self._set(field.path, value), slider=field.kind != "text",
            )  # fmt: skip

    def _meaning(self, field: Field, node: Node) -> str:
        """What the guide says of the argument, in this schedule or else in that of its class."""
        guide = read_guide(self.language)
        dotted = ".".join(map(str, field.path))
        own = guide[self.setup.name].arguments.get(dotted)
        same = bridge.shipped(self.setup.name)
        try:
            if own and nodes.value_at(same, field.path[:-1])["_target_"] == node["_target_"]:
                return own
        except (LookupError, TypeError):
            pass
        entries: list[Entry] = list(guide.values())
        if template := nodes.templates().get(node["_target_"]):
            entries.insert(0, guide[template])
        for entry in entries:
            for name, text in entry.arguments.items():
                if name == field.name or name.endswith(f"lr_lambda.{field.name}"):
                    return text
        return ""

    def _draw_choice_of(self, field: Field, meaning: str) -> None:
        self._label(field.name, meaning)
        key = self._seed(fields.key_of(field.path), field.value)

        def changed() -> None:
            if st.session_state[key] is not None:
                self._set(field.path, st.session_state[key])

        if field.kind == "switch":
            st.toggle(field.name, key=key, on_change=changed, label_visibility="collapsed")
        elif isinstance(field.value, list):
            text = ", ".join(map(str, field.value))
            key = self._seed(f"{fields.key_of(field.path)} list", text)
            st.text_input(
                field.name, key=key, label_visibility="collapsed",
                on_change=lambda: self._set(field.path, words(st.session_state[key])),
            )  # fmt: skip
        else:
            options = list(field.choices) or ["linear", "cosine", "step"]
            if field.value not in options:
                options.append(field.value)
            st.segmented_control(
                field.name, options, key=key, on_change=changed, label_visibility="collapsed",
                format_func=str,
            )  # fmt: skip
        self._tell(fields.key_of(field.path))

    def _draw_lengths(self, field: Field, meaning: str) -> None:
        self._label(field.name, meaning)
        for index in range(len(field.value or [])):
            path = (*field.path, index)
            with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                with st.container():
                    self._draw_length(path, self.say("milestone", number=index + 1), "")
                self._remove_entry(path, len(field.value) > 1)
        self._tell(fields.key_of(field.path))
        last = field.value[-1] if field.value else "0%"
        between = nodes.between(last, self.horizon)
        self._button(
            f"add {field.path}", self._set, field.path, [*(field.value or []), between],
            label=self.say("add"), icon=":material/add:", type="tertiary",
        )  # fmt: skip

    def _draw_knots(self, field: Field, node: Node, meaning: str) -> None:
        self._label(field.name, meaning)
        for index, (_, factor) in enumerate(field.value):
            path = (*field.path, index)
            with st.container(border=True):
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    with st.container():
                        self._draw_length((*path, 0), self.say("knot_when", number=index + 1), "")
                    self._remove_entry(path, len(field.value) > 1)
                self._draw_amount(
                    fields.key_of((*path, 1)), "", factor, (),
                    self.say("knot_factor", number=index + 1),
                    lambda value, path=path: self._set((*path, 1), value),
                )  # fmt: skip
        self._tell(fields.key_of(field.path))
        when, factor = field.value[-2] if len(field.value) > 1 else field.value[-1]
        knot = [nodes.between(when, self.horizon), factor]
        self._button(
            f"add {field.path}", self._add_knot, field.path, knot, label=self.say("add"),
            icon=":material/add:", type="tertiary",
        )  # fmt: skip

    def _add_knot(self, path: Path, knot: list[Any]) -> None:
        def add(node: Node) -> Node:
            knots = [*node["knots"][:-1], [knot[0], knot[1]], node["knots"][-1]]
            joins = node.get("join")
            more = {"join": [*joins, joins[-1]]} if isinstance(joins, list) and joins else {}
            return node | {"knots": knots} | more

        self._edit(path[:-1], add)

    def _remove_entry(self, path: Path, possible: bool) -> None:
        def remove(node: Node) -> Node:
            name, index = path[-2], path[-1]
            kept = [entry for k, entry in enumerate(node[name]) if k != index]
            joins = node.get("join")
            if name == "knots" and isinstance(joins, list) and joins:
                gone = max(int(index) - 1, 0)
                return node | {"knots": kept, "join": joins[:gone] + joins[gone + 1 :]}
            return node | {name: kept}

        self._remove(path, path[:-2], remove, possible)

    def _remove(self, path: Path, at: Path, edit: Callable[[Node], Node], possible: bool) -> None:
        self._button(
            f"remove {path}", self._edit, at, edit, icon=":material/close:", type="tertiary",
            help=self.say("remove"), disabled=not possible,
        )  # fmt: skip

    def _draw_length(self, path: Path, label: str, meaning: str) -> None:
        value = nodes.value_at(self.setup.node, path)
        self._draw_amount(
            fields.key_of(path), "", value, fields.LENGTH_UNITS, label,
            lambda value: self._set(path, value),
        )  # fmt: skip
