"""The panel beside the chart: the choice of a schedule, its arguments and parts, and the run."""

import streamlit as st

from scripts.explorer import nodes
from scripts.explorer.controls import Controls
from scripts.explorer.fields import Field, Node, Path, fields_of, key_of, last_word
from scripts.explorer.setups import RUN_FIELDS, shipped
from scripts.explorer.texts import read_guide

CLASS_PREFIX = "class "


class Panel(Controls):
    """The controls of one setup."""

    def draw(self) -> None:
        """Draw everything: the choice, the arguments, what may be built on it, the run."""
        self._draw_choice()
        self._draw_node((), self.setup.node)
        if self.setup.node["_target_"] in nodes.nestable():
            st.caption(self.say("build"))
            with st.container(horizontal=True, gap="small"):
                for how in ("warmup", "then", "times"):
                    st.button(
                        self.say(f"wrap_{how}"), key=f"{self.index} wrap_{how}",
                        on_click=self._wrap, args=(how,),
                    )  # fmt: skip
        st.markdown(f"##### {self.say('run')}")
        for key, name in RUN_FIELDS.items():
            self._draw_amount(key, getattr(self.setup, name), (), f"`{key}` {self.say(name)}")
        if self.wrong_key is not None:  # the sentence is about none of the controls
            self._show_problem(self.wrong_key)

    def _draw_choice(self) -> None:
        guide = read_guide(self.language)
        classes = [CLASS_PREFIX + target for target in nodes.templates()]
        chosen, node = self.setup.name, self.setup.node
        option = CLASS_PREFIX + node["_target_"]
        if option in classes and node != shipped(chosen):
            chosen = option if node == nodes.class_defaults(node["_target_"]) else chosen

        def show(option: str) -> str:
            if option.startswith(CLASS_PREFIX):
                return self.say("class_defaults", name=last_word(option))
            return f"{option} — {guide[option].short}".replace("`", "").replace("*", "")

        key = self._seed("choice", chosen)
        st.selectbox(
            self.say("schedule"), [*guide, *classes], format_func=show, key=key,
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
            self._change(name=option, node=shipped(option))
        else:
            self._change(name=nodes.templates()[target], node=nodes.class_defaults(target))

    def _wrap(self, how: str) -> None:
        self._edit((), lambda node: nodes.wrapped(node, how))
        self._change(name="chained" if how == "times" else "sequential")

    def _draw_node(self, path: Path, node: Node) -> None:
        for field in fields_of(node, path):
            if field.kind == "nodes":
                self._draw_parts(field, node)
            elif field.kind == "node":
                self._draw_child(field)
            elif not (field.name == "milestones" and "schedulers" in node):
                self._draw_field(field, node)
        self._show_problem(key_of(path))

    def _draw_field(self, field: Field, node: Node) -> None:
        label = f"`{field.name}` {self._meaning(field, node)}"
        if field.kind in ("lengths", "knots"):
            self._draw_entries(field, label)
        elif field.kind in ("switch", "choice", "join"):
            self._draw_choice_of(field, label)
        else:
            self._draw_amount(
                field.path, field.value, field.units, label, slider=field.kind != "text"
            )

    def _meaning(self, field: Field, node: Node) -> str:
        """Return the guide's text on the argument, of this schedule or else of its class."""
        guide = read_guide(self.language)
        text = guide[self.setup.name].arguments.get(".".join(map(str, field.path)))
        try:
            same = nodes.value_at(shipped(self.setup.name), field.path[:-1])
            if text and same["_target_"] == node["_target_"]:
                return text
        except (LookupError, TypeError):
            pass
        entries = list(guide.values())
        if template := nodes.templates().get(node["_target_"]):
            entries.insert(0, guide[template])
        for entry in entries:
            for name, text in entry.arguments.items():
                if name == field.name or name.endswith(f"lr_lambda.{field.name}"):
                    return text
        return ""

    def _draw_choice_of(self, field: Field, label: str) -> None:
        st.markdown(label)
        key = self._seed(key_of(field.path), field.value)

        def changed() -> None:
            if st.session_state[key] is not None:
                self._set(field.path, st.session_state[key])

        if field.kind == "switch":
            st.toggle(field.name, key=key, on_change=changed, label_visibility="collapsed")
        elif isinstance(field.value, list):
            list_key = self._seed(f"{key_of(field.path)} list", ", ".join(map(str, field.value)))

            def typed() -> None:
                words = st.session_state[list_key].strip("[] ").split(",")
                self._set(field.path, [word.strip() for word in words])

            st.text_input(field.name, key=list_key, label_visibility="collapsed", on_change=typed)
        else:
            options = list(field.choices) or ["linear", "cosine", "step"]
            if field.value not in options:
                options.append(field.value)
            st.segmented_control(
                field.name, options, key=key, on_change=changed, label_visibility="collapsed",
                format_func=str,
            )  # fmt: skip
        self._show_problem(key_of(field.path))

    def _draw_entries(self, field: Field, label: str) -> None:
        """Draw a list of drops, or of knots: a length and a factor each."""
        st.markdown(label)
        knots, entries = field.kind == "knots", field.value or []
        for index, entry in enumerate(entries):
            path = (*field.path, index)
            with st.container(border=knots):
                with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                    with st.container():
                        word = self.say("knot_when" if knots else "milestone", number=index + 1)
                        self._draw_length((*path, 0) if knots else path, word)
                    self._draw_remove(path, len(entries) > 1)
                if knots:
                    word = self.say("knot_factor", number=index + 1)
                    self._draw_amount((*path, 1), entry[1], (), word)
        self._show_problem(key_of(field.path))
        self._draw_button(
            f"add {field.path}", field.path[:-1],
            lambda node: nodes.add_entry(node, field.name, self.horizon),
            label=self.say("add"), icon=":material/add:",
        )  # fmt: skip

    def _draw_parts(self, field: Field, node: Node) -> None:
        parts, at, sequence = field.value or [], field.path[:-1], "milestones" in node
        for index, part in enumerate(parts):
            path = (*field.path, index)
            with st.container(border=True):
                word = self.say("part" if sequence else "member", number=index + 1)
                with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                    self._draw_class(path, part, word)
                    self._draw_move(at, "up", index - 1, index > 0)
                    self._draw_move(at, "down", index, index + 1 < len(parts))
                    self._draw_remove(path, len(parts) > 1)
                self._draw_node(path, part)
                if sequence and index < len(node["milestones"]):
                    self._draw_length((*at, "milestones", index), self.say("ends"))
        self._show_problem(key_of((*at, "milestones")))
        self._show_problem(key_of(field.path))
        self._draw_add(at)

    def _draw_move(self, path: Path, word: str, first: int, possible: bool) -> None:
        self._draw_button(
            f"{word} {path} {first}", path, lambda node: nodes.swap_parts(node, first),
            icon=f":material/arrow_{word}ward:", help=self.say(word), disabled=not possible,
        )  # fmt: skip

    def _draw_add(self, path: Path) -> None:
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
        """Draw the choice of the class of a nested node; that of a WarmupLR may be left out."""
        target = node["_target_"] if node else ""
        options = ([""] if isinstance(path[-1], str) else []) + nodes.nestable()
        if target not in options:
            options.append(target)
        key = self._seed(f"class {path}", target)

        def choose() -> None:
            if chosen := st.session_state[key]:
                self._set(path, shipped(nodes.templates()[chosen]))
            else:
                self._edit(path[:-1], lambda n: {k: v for k, v in n.items() if k != path[-1]})

        st.selectbox(
            label, options, key=key, on_change=choose,
            format_func=lambda option: last_word(option) if option else self.say("nothing"),
        )  # fmt: skip
