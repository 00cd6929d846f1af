"""The explorer's page, run by Streamlit's AppTest: one session after another in this process."""

import io
from urllib.parse import parse_qsl

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from scripts.explorer import bridge
from scripts.explorer.chart import figures
from scripts.explorer.session import FIRST
from scripts.explorer.setups import Setup, shipped, trace
from tests.conftest import ROOT


def open_page(address=""):
    page = AppTest.from_file(str(ROOT / "scripts/explorer/page.py"), default_timeout=120)
    for name, value in parse_qsl(address):
        page.query_params[name] = value
    return run(page)


def run(element):
    """Run the page after an element of it, or the page itself, was set."""
    page = element.run()
    assert [error.message for error in page.exception] == []
    return page


def errors(page):
    """Return the sentences about mistakes, without the escapes of Markdown."""
    return [error.value.replace("\\", "") for error in page.error]


def rows(page):
    """Return the points that the chart got."""
    data = page.get("vega_lite_chart")[0].proto.data.data
    return pa.ipc.open_stream(io.BytesIO(data)).read_all().to_pylist()


def rates(page, curve="c0"):
    return {row["step"]: row["rate"] for row in rows(page) if row["curve"] == curve}


def line(page):
    return page.code[0].value


def node_of(page):
    return bridge.read_command(line(page)).node


def parts_of(page):
    return [part["_target_"].rpartition(".")[2] for part in node_of(page)["schedulers"]]


def control(elements, key):
    """Return the control of the current curve, by the argument's dotted key."""
    return next(e for e in elements if e.key and e.key.split(" ", 1)[1].startswith(key))


def button(page, text):
    """Return the button with this in its key, or this label."""
    return next(b for b in page.button if text == b.label or (b.key and text in b.key))


# --- the chart shows what is trained ------------------------------------------------------------


def test_the_page_draws_the_trace_of_a_schedule():
    page = open_page()
    assert line(page) == f"python train.py scheduler={FIRST}"
    assert dict(page.query_params) == {"s0": [f"scheduler={FIRST}"]}
    for name in ("step", "reduce_on_plateau", "sequential", "lambda", "piecewise", "one_cycle"):
        run(control(page.selectbox, "choice").select(name))
        setup = Setup(name, shipped(name))
        trained, drawn = trace(setup), rates(page)
        assert {0, len(trained) - 1} <= drawn.keys() and len(drawn) >= 240
        assert drawn == {step: trained[step] for step in drawn}
        assert line(page) == f"python train.py scheduler={name}"
        assert page.code[1].value == bridge.write_yaml(setup).strip()


def test_the_figures_below_the_chart():
    node = shipped("step") | {"step_size": "25%", "gamma": 0.5}
    # a quarter of the run each at 0.2, 0.1, 0.05, 0.025: 0.375 / 4 of 0.2 on average
    shown = figures(Setup("step", node, base_lr=0.2, train_size=128 * 8))
    assert shown == {"area": "47%", "peak": "0.2", "least": "0.025", "above": "25%"}


# --- controls -----------------------------------------------------------------------------------


def test_a_slider_a_number_and_a_unit_change_the_same_value():
    page = open_page("s0=scheduler=step")
    columns = rows(page)[0].keys()
    run(control(page.select_slider, "scheduler.step_size").set_value(50.0))
    assert rows(page)[0].keys() != columns  # else the browser takes the points for the same
    assert line(page).endswith("scheduler=step scheduler.step_size=50%")
    assert rates(page)[5280] == pytest.approx(0.02)
    run(control(page.selectbox, "scheduler.step_size unit").select("ep"))
    assert line(page).endswith("scheduler.step_size=15ep")
    run(control(page.selectbox, "scheduler.step_size unit").select("%"))
    assert line(page).endswith("scheduler.step_size=50%")
    run(control(page.selectbox, "scheduler.step_size unit").select("ep"))
    assert control(page.text_input, "scheduler.step_size").value == "15"
    run(control(page.text_input, "scheduler.step_size").set_value("100"))
    assert line(page).endswith("scheduler.step_size=100ep")
    assert control(page.select_slider, "scheduler.step_size").value == 100.0
    run(control(page.text_input, "scheduler.gamma").set_value("0.5"))
    run(control(page.text_input, "epochs").set_value("2"))
    assert line(page).endswith("scheduler.step_size=100ep scheduler.gamma=0.5 epochs=2")


def test_a_nested_schedule_is_built():
    page = open_page("s0=scheduler=cosine_annealing")
    run(button(page, "wrap_warmup").click())
    assert line(page).startswith("python train.py scheduler=sequential ")
    run(control(page.selectbox, "add ()").select("schedulers.rex.REXLR"))
    assert node_of(page)["milestones"] == ["8%", "54%"]
    assert node_of(page)["schedulers"][2]["total_steps"] == "46%"
    run(control(page.text_input, "scheduler.milestones[1] text").set_value("60"))
    chained = "oneflow.optim.lr_scheduler.ChainedScheduler"
    run(control(page.selectbox, "class ('schedulers', 1)").select(chained))
    assert parts_of(page) == ["LinearLR", "ChainedScheduler", "REXLR"]
    assert node_of(page)["milestones"] == ["8%", "60%"]
    run(button(page, "down () 0").click())
    run(button(page, "remove ('schedulers', 2)").click())
    assert parts_of(page) == ["ChainedScheduler", "LinearLR"]
    assert node_of(page)["milestones"] == ["8%"]


@pytest.mark.parametrize(
    ("address", "key", "typed", "about"),
    [
        ("s0=scheduler=step", "scheduler.gamma", "much", "scheduler.gamma='much'"),
        ("s0=scheduler=step", "epochs", "9999", "The run has 3519648 steps"),
        ("s0=scheduler=rex", "optimizer.lr", "nan", "optimizer.lr=nan"),
        ("s0=scheduler=multistep", "scheduler.milestones[0]", "90", "scheduler.milestones"),
    ],
)
def test_a_mistake_is_shown_once_and_the_last_curve_stays(address, key, typed, about):
    page = open_page(address)
    before = rows(page)
    run(control(page.text_input, f"{key} text").set_value(typed))
    assert [error[: len(about)] for error in errors(page)] == [about]
    drawn = list(page.main)
    fields = [e.key for e in drawn[: drawn.index(page.error[0])] if e.type == "text_input"]
    assert fields[-1].startswith(f"0 {key.partition('[')[0]}")  # the error stands below its field
    assert rows(page) == before
    assert control(page.text_input, f"{key} text").value == typed


# --- several curves, the address, what is pasted ------------------------------------------------


def test_curves_are_compared_edited_removed_and_shared():
    page = open_page("s0=scheduler=step scheduler.gamma=0.5 epochs=5")
    for name in ("rex", "one_cycle"):
        run(button(page, "Compare with another").click())
        run(control(page.selectbox, "choice").select(name))
    trained = trace(Setup("rex", shipped("rex"), epochs=5))
    assert rates(page, "c1") == {step: trained[step] for step in rates(page, "c1")}
    run(button(page, "edit 0").click())
    assert line(page) == "python train.py scheduler=step scheduler.gamma=0.5 epochs=5"
    run(button(page, "remove 0").click())
    assert line(page) == "python train.py scheduler=rex epochs=5"
    run(button(page, "edit 1").click())
    run(page.button_group[1].set_value(True))
    assert {row["curve"] for row in rows(page)} == {"c0", "c1"}
    assert min(row["shown"] for row in rows(page)) > 0
    address = {name: value[0] for name, value in page.query_params.items()}
    curves = {"s0": "scheduler=rex epochs=5", "s1": "scheduler=one_cycle epochs=5"}
    assert address == curves | {"edit": "1", "log": "true"}
    again = open_page("&".join(f"{name}={value}" for name, value in address.items()))
    assert rows(again) == rows(page) and line(again) == line(page)


def test_chinese_and_an_address_that_cannot_be_read():
    page = open_page("lang=zh&s0=scheduler=cosine_annealing scheduler.T_max=50%")
    assert page.title[0].value == "学习率调度探索"
    assert any("过了最低点又升高" in html.proto.body for html in page.get("html"))
    for language, message in (("en", "The address could not be read: "), ("zh", "无法读取地址：")):
        page = open_page(f"s0=scheduler._target_=os.system&lang={language}")
        assert errors(page)[0].startswith(f"{message}In the address, s0: ")
        assert line(page) == f"python train.py scheduler={FIRST}"
