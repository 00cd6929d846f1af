"""The explorer: a page to choose a schedule, change it, and copy the command that trains it.

    python -m scripts.explorer --port 8501

Every curve on it comes from `trace_lr`, which also decides the rates of a training. The page needs
Streamlit and listens on 127.0.0.1 by default (docs/explorer.md).
"""

import tempfile
import threading
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st
from streamlit import runtime

import engine  # noqa: F401  (prepares the process for OneFlow)
from plots.curves import COLORS, Curve, write_csv
from schedulers import is_plateau
from scripts.explorer import bridge, session
from scripts.explorer.chart import chart_rows, chart_spec, figures, find_traps
from scripts.explorer.panel import Panel
from scripts.explorer.setups import Setup, trace
from scripts.explorer.texts import LANGUAGES, LINT_ZH, plain, say

HEAD_START = 0.03  # seconds in which the browser draws the curve before it gets all the rest
_drawing = threading.Lock()  # matplotlib's settings belong to the whole process

STYLE = """<style>
[data-testid="stMainBlockContainer"]{max-width:1280px;padding:2.2rem 2rem 4rem}
[data-testid="stSliderThumbValue"],[data-testid="stSliderTickBar"]{display:none}
.st-key-header h1{font-size:1.5rem;font-weight:600;padding:0;white-space:nowrap}
.st-key-panel [data-testid="stMarkdownContainer"] p{font-size:.9rem;line-height:1.35}
.st-key-panel [data-testid="stVerticalBlock"]{gap:.45rem}
[class*="st-key-amount"]{flex-wrap:nowrap!important}
[class*="st-key-amount"]>*{min-width:0}
[class*="st-key-edit-"]{min-width:11.5rem}
[class*="st-key-edit-"] button{justify-content:flex-start}
[class*="st-key-edit-"] button>*{width:auto;flex:none}
.figures{display:flex;flex-wrap:wrap;gap:.1rem .8rem;font-variant-numeric:tabular-nums}
.figures span{color:#6B7280;font-size:.82rem;min-width:5.2rem;white-space:nowrap}
.figures b{color:#222;font-size:.92rem;font-weight:600}
.lint,.note{font-size:.88rem;margin:0} .lint{color:#B34700} .note{color:#6B7280}
@media (min-width:641px){
 [data-testid="stColumn"]:has(.st-key-chart)>div{position:sticky;top:1rem}
}
@media (max-width:640px){
 [data-testid="stMainBlockContainer"]{padding:1rem .8rem 3rem}
 [data-testid="stColumn"]:has(.st-key-chart),
 [data-testid="stColumn"]:has(.st-key-chart)>div{display:contents}
 [data-testid="stLayoutWrapper"]:has(>.st-key-chart)
 {position:sticky;top:0;z-index:50;background:#fff}
 [data-testid="stHorizontalBlock"]:has(>[data-testid="stColumn"] .st-key-chart){gap:1rem}
 [data-testid="stColumn"]:has(.st-key-panel){order:1}
 [data-testid="stLayoutWrapper"]:has(>.st-key-bridge){order:2}
}
@COLORS@</style>"""


def page() -> None:
    """Draw the whole page for one visitor."""
    st.set_page_config(page_title="Learning-rate explorer", layout="wide")
    session.start()
    language = st.session_state.view["lang"]
    dots = "".join(
        f'.st-key-edit-{i} button::before{{content:"";width:.75rem;height:.75rem;border-radius:50%;'
        f"background:{color};margin-right:.5rem;flex:none}}"
        for i, color in enumerate(COLORS)
    )
    st.html(STYLE.replace("@COLORS@", dots))
    header(language)
    explore()


def header(language: str) -> None:
    """Draw the title, the language and what is wrong with the address."""
    with st.container(horizontal=True, vertical_alignment="center", key="header", gap="medium"):
        st.title(say("title", language), width="stretch")
        session.switch("lang", list(LANGUAGES), LANGUAGES.__getitem__)
    if complaint := st.session_state.complaint:
        st.error(say("bad_address", language, reason=plain(complaint)))


@st.fragment
def explore() -> None:
    """Draw the chart, its figures, the command, and the controls."""
    state, language = st.session_state, st.session_state.view["lang"]
    problem = ""
    for index, setup in enumerate(state.setups):
        try:
            trace(setup)
            state.good[index] = setup
        except ValueError as error:
            problem = str(error) if index == state.current else problem
    left, right = st.columns([0.62, 0.38], gap="large")
    with left:
        tools = st.container(horizontal=True, vertical_alignment="center", gap="small")
        draw_chart(language)
        time.sleep(HEAD_START)
        with tools:
            draw_tools(language)
        if problem:
            st.html(f'<p class="lint">{say("stale", language)}</p>')
        with st.container(gap="xxsmall"):
            draw_curves(language)
        draw_findings(language)
        with st.container(key="bridge"):
            draw_bridge(language, session.remember())
    with right, st.container(key="panel"):
        Panel(state.current, state.good[state.current].horizon, problem, language).draw()


def draw_tools(language: str) -> None:
    """Draw what stands above the chart: its axis, the files, the length of the run."""
    state = st.session_state
    session.switch("log", [False, True], lambda log: say("log" if log else "linear", language))
    draw_downloads(language)
    horizon = state.good[state.current].horizon
    length = say(
        "length_of_run", language, epochs=horizon.total_steps // horizon.steps_per_epoch,
        per_epoch=horizon.steps_per_epoch, total=horizon.total_steps,
    )  # fmt: skip
    st.html(f'<p class="note">{length}</p>')


def draw_chart(language: str) -> None:
    """Draw the chart with all curves."""
    state = st.session_state
    setups, current, log = state.good, state.current, state.view["log"]
    spec = chart_spec(setups, session.labels_of(setups), current, log, language)
    with st.container(key="chart"):
        st.vega_lite_chart(chart_rows(setups, current, log), spec, theme=None, key="curves")


def draw_downloads(language: str) -> None:
    """Draw the buttons of the files, which are made only when they are asked for."""
    setups, log = list(st.session_state.good), st.session_state.view["log"]
    current = setups[st.session_state.current]
    with st.popover(say("download", language), icon=":material/download:"):
        for suffix in (".png", ".gif", ".csv"):
            st.download_button(
                suffix[1:].upper(), lambda suffix=suffix: write_file(suffix, setups, log),
                f"{current.name}{suffix}", on_click="ignore", width="stretch",
            )  # fmt: skip
        st.download_button(
            "YAML", lambda: bridge.write_yaml(current), f"{current.name}.yaml", "text/yaml",
            on_click="ignore", width="stretch",
        )  # fmt: skip


def write_file(suffix: str, setups: Sequence[Setup], log: bool) -> bytes:
    """Return a picture, an animation or a table of the curves, as `scripts.preview` writes it."""
    from plots.pictures import write_animation, write_picture

    curves = [
        Curve(label, [trace(setup).tolist()], [setup.base_lr], setup.horizon,
              [str(finding) for finding in find_traps(setup)])
        for label, setup in zip(session.labels_of(setups), setups, strict=True)
    ]  # fmt: skip
    title = curves[0].name if len(curves) == 1 else f"{len(curves)} schedules"
    with tempfile.TemporaryDirectory() as folder, _drawing:
        path = Path(folder) / f"curves{suffix}"
        if suffix == ".csv":
            write_csv(path, curves)
        else:
            draw = write_animation if suffix == ".gif" else write_picture
            draw(path, curves, title, log)
        return path.read_bytes()


def draw_curves(language: str) -> None:
    """Draw a line for each curve: its name, which chooses it, its figures, and its removal."""
    state = st.session_state
    for index, (label, setup) in enumerate(
        zip(session.labels_of(state.good), state.good, strict=True)
    ):
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"curve{index}"
        ):
            st.button(
                f"**{plain(label)}**" if index == state.current else plain(label),
                key=f"edit {index}", type="tertiary", help=say("edit", language),
                on_click=lambda index=index: state.update(current=index),
            )  # fmt: skip
            cells = "".join(
                f'<span title="{say(f"{key}_help", language)}">{say(key, language)} <b>{value}</b>'
                "</span>"
                for key, value in figures(setup).items()
            )
            st.html(f'<div class="figures">{cells}</div>', width="stretch")
            if len(state.good) > 1:
                st.button(
                    "", key=f"remove {index}", icon=":material/close:", type="tertiary",
                    on_click=session.remove, args=(index,), help=say("remove", language),
                )  # fmt: skip
    if len(state.good) < session.MOST_CURVES:
        st.button(
            say("keep", language), icon=":material/add:", on_click=session.add, type="tertiary"
        )


def draw_findings(language: str) -> None:
    """Draw what the lint finds in the current curve, and the remark on a plateau."""
    present = st.session_state.good[st.session_state.current]
    for finding in find_traps(present):
        text = str(finding)
        if language == "zh":
            text = f"第 {finding.step} 步：{LINT_ZH[finding.rule]}"
        st.html(f'<p class="lint">▲ {escape(text)}</p>')
    if is_plateau(present.node):
        st.html(f'<p class="note">{say("made_up", language)}</p>')


def draw_bridge(language: str, no_link: str) -> None:
    """Draw the command of the current curve, its YAML, the address, and a box to paste into."""
    setup = st.session_state.good[st.session_state.current]
    st.markdown(f"##### {say('train', language)}")
    st.code(bridge.write_command(setup), language="bash", wrap_lines=True)
    with st.expander(say("yaml", language)):
        st.code(bridge.write_yaml(setup), language="yaml")
    with st.expander(say("link", language)):
        if no_link:
            st.error(say("no_link", language, reason=plain(no_link)))
        else:
            st.caption(say("link_help", language))
            st.code(session.address(), language=None, wrap_lines=True)
    with st.expander(say("paste", language)):
        st.text_area(
            say("paste_label", language), key="pasted", label_visibility="collapsed", height=120,
            placeholder="python train.py scheduler=step scheduler.gamma=0.5",
        )  # fmt: skip
        st.button(say("paste_button", language), on_click=session.paste)
        if complaint := st.session_state.get("pasted_wrong"):
            st.error(say("refused", language) + plain(complaint))


if runtime.exists():  # Streamlit runs this file for every visitor
    page()
