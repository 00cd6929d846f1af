"""The explorer's panel: the choice of a schedule, its arguments and parts, and the run."""

from dataclasses import replace
from functools import partial

import streamlit as st

from scripts.explorer import bridge
from scripts.explorer import fields as fields
from scripts.explorer import nodes as nodes
from scripts.explorer.arguments import Arguments
from scripts.explorer.bridge import RUN_FIELDS
from scripts.explorer.controls import last_word
from scripts.explorer.fields import Field, Node, Path
from scripts.explorer.texts import read_guide

CLASS_PREFIX = "class "


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
