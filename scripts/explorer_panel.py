"""The explorer's panel: the choice of a schedule, its arguments and parts, and the run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from scripts import bridge
from scripts import explorer_fields as fields
from scripts import explorer_nodes as nodes
from scripts.explorer_controls import RUN_FIELDS, Controls, last_word, words
from scripts.explorer_fields import Field, Node, Path
from scripts.explorer_texts import Entry, read_guide

CLASS_PREFIX = "class "


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


class Panel(Arguments):
    """The controls of one setup."""

    def draw(self) -> None:
        """Draw everything: the choice, the arguments, what may be built on it, the run."""
        self._draw_choice()
        self._draw_node((), self.setup.node)
        self._draw_building()
        st.markdown(f"##### {self.say('run')}")
        for key, name in RUN_FIELDS.items():
            self._draw_amount(
                key, key, getattr(self.setup, name), (), self.say(name), self._run_setter(name)
            )
        if self.place is not None:  # nothing on the page was the place of the sentence
            self._tell(self.place)

    def _draw_choice(self) -> None:
        guide = read_guide(self.language)
        classes = [CLASS_PREFIX + target for target in nodes.templates()]
        chosen, node = self.setup.name, self.setup.node
        option = CLASS_PREFIX + node["_target_"]
        if option in classes and node != bridge.shipped(chosen):
            chosen = option if node == nodes.class_defaults(node["_target_"]) else chosen

        def told(option: str) -> str:
            if option.startswith(CLASS_PREFIX):
                return self.say("class_defaults", name=option.rpartition(".")[2])
            return f"{option} — {guide[option].short}".replace("`", "").replace("*", "")

        key = self._seed("choice", chosen)
        st.selectbox(
            self.say("schedule"), [*guide, *classes], format_func=told, key=key,
            on_change=lambda: self._choose(st.session_state[key]),
        )  # fmt: skip
        entry = guide[self.setup.name]
        st.markdown(entry.what)
        with st.expander(self.say("about")):
            st.markdown(
                f"**{self.say('when')}** {entry.when}\n\n**{self.say('trap')}** {entry.trap}"
            )

    def _choose(self, option: str) -> None:
        target = option.removeprefix(CLASS_PREFIX)
        if target == option:
            self._change(replace(self._now(), name=option, node=bridge.shipped(option)))
        else:
            name, node = nodes.templates()[target], nodes.class_defaults(target)
            self._change(replace(self._now(), name=name, node=node))

    def _draw_building(self) -> None:
        node = self.setup.node
        if node["_target_"] not in nodes.nestable():
            return
        st.caption(self.say("build"))
        with st.container(horizontal=True, gap="small"):
            for how in ("warmup", "then", "times"):
                self._button(f"wrap_{how}", self._wrap, how, label=self.say(f"wrap_{how}"))

    def _wrap(self, how: str) -> None:
        now, name = self._now(), "chained" if how == "times" else "sequential"
        self._change(replace(now, name=name, node=nodes.wrapped(now.node, how)))

    def _draw_node(self, path: Path, node: Node) -> None:
        for field in fields.fields_of(node, path):
            if field.kind == "nodes":
                self._draw_parts(field, node)
            elif field.kind == "node":
                self._draw_child(field)
            elif not (field.name == "milestones" and "schedulers" in node):
                self._draw_field(field, node)
        self._tell(fields.key_of(path))

    def _draw_parts(self, field: Field, node: Node) -> None:
        parts = field.value or []
        sequence = "milestones" in node
        for index, part in enumerate(parts):
            path = (*field.path, index)
            with st.container(border=True):
                word = self.say("part" if sequence else "member", number=index + 1)
                with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                    self._draw_class(path, part, word)
                    at = field.path[:-1]
                    self._move(at, "up", index - 1, index > 0)
                    self._move(at, "down", index, index + 1 < len(parts))
                    self._remove(path, at, partial(nodes.remove_part, index=index), len(parts) > 1)
                self._draw_node(path, part)
                if sequence and index < len(node["milestones"]):
                    self._draw_length((*field.path[:-1], "milestones", index), self.say("ends"), "")
        self._tell(fields.key_of((*field.path[:-1], "milestones")))
        self._tell(fields.key_of(field.path))
        self._draw_add(field)

    def _move(self, path: Path, word: str, first: int, possible: bool) -> None:
        self._button(
            f"{word} {path} {first}", self._edit, path, lambda n: nodes.swap_parts(n, first),
            icon=f":material/arrow_{word}ward:", help=self.say(word), disabled=not possible,
            type="tertiary",
        )  # fmt: skip

    def _draw_add(self, field: Field) -> None:
        path = field.path[:-1]
        key = self._seed(f"add {path}", None)

        def add() -> None:
            target = st.session_state[key]
            self._edit(path, lambda node: nodes.add_part(node, target, self.horizon))

        st.selectbox(
            self.say("add_part"), nodes.nestable(), format_func=last_word, key=key, on_change=add,
            placeholder=self.say("add_part"), label_visibility="collapsed",
        )  # fmt: skip

    def _draw_child(self, field: Field) -> None:
        child = field.value if isinstance(field.value, dict) else None
        with st.container(border=True):
            if field.name == "lr_lambda":
                st.markdown(f"`{field.name}` {last_word(child['_target_']) if child else ''}")
            else:
                self._draw_class(field.path, child, self.say("inside"))
            if child:
                self._draw_node(field.path, child)

    def _draw_class(self, path: Path, node: Node | None, label: str) -> None:
        """The choice of the class of a nested node; the node of a WarmupLR may be left out."""
        optional = isinstance(path[-1], str)
        target = node["_target_"] if node else ""
        options = ([""] if optional else []) + nodes.nestable()
        if target not in options:
            options.append(target)
        key = self._seed(f"class {path}", target)

        def choose() -> None:
            chosen = st.session_state[key]
            value = bridge.shipped(nodes.templates()[chosen]) if chosen else None
            now = self._now()
            node = nodes.replaced(now.node, path, value)
            if value is None:
                del nodes.value_at(node, path[:-1])[path[-1]]
            self._change(replace(now, node=node))

        st.selectbox(
            label, options, key=key, on_change=choose,
            format_func=lambda option: last_word(option) if option else self.say("nothing"),
        )  # fmt: skip
