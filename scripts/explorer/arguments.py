"""The controls of the arguments of one node: amounts, lengths, knots, switches."""

import streamlit as st

from scripts.explorer import nodes
from scripts.explorer.controls import Controls
from scripts.explorer.fields import Field, Node, key_of
from scripts.explorer.setups import shipped
from scripts.explorer.texts import read_guide


class Arguments(Controls):
    """The controls of the arguments of one node."""

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
