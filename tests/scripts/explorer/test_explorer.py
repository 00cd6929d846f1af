"""The explorer's page, run by Streamlit's AppTest: one session after another in this process."""

import pytest
from streamlit.testing.v1 import AppTest

from scripts.explorer import bridge
from scripts.explorer.page import write_file
from scripts.explorer.session import FIRST
from scripts.explorer.setups import Setup, shipped, trace
from tests.helpers.pages import PAGE, button, control, errors, line, open_page, rates, rows, run


@pytest.fixture(scope="module")
def page() -> AppTest:
    return open_page()


# --- what is drawn is what is trained -----------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["step", "reduce_on_plateau", "sequential", "lambda", "piecewise", "one_cycle"]
)
def test_the_page_draws_the_trace_of_a_schedule(page, name):
    run(control(page.selectbox, "choice").select(name))
    setup = Setup(name, shipped(name))
    trained, drawn = trace(setup), rates(page)
    assert {0, len(trained) - 1} <= drawn.keys() and len(drawn) >= 240
    assert drawn == {step: trained[step] for step in drawn}
    assert line(page) == f"python train.py scheduler={name}"
    assert page.code[1].value == bridge.write_yaml(setup).strip()


def test_the_first_view_is_a_schedule_already_drawn():
    page = open_page()
    assert line(page) == f"python train.py scheduler={FIRST}"
    assert dict(page.query_params) == {"s0": [f"scheduler={FIRST}"]}


# --- controls -----------------------------------------------------------------------------------


def test_a_slider_a_number_and_a_unit_say_the_same():
    page = open_page("s0=scheduler=step")
    run(control(page.select_slider, "scheduler.step_size").set_value(50.0))
    assert line(page).endswith("scheduler=step scheduler.step_size=50%")
    assert rates(page)[5280] == pytest.approx(0.02)
    run(control(page.selectbox, "scheduler.step_size unit").select("ep"))
    assert line(page).endswith("scheduler.step_size=15ep")
    assert control(page.text_input, "scheduler.step_size").value == "15"
    run(control(page.text_input, "scheduler.step_size").set_value("100"))
    assert line(page).endswith("scheduler.step_size=100ep")
    assert control(page.select_slider, "scheduler.step_size").value == 100.0
    run(control(page.text_input, "scheduler.gamma").set_value("0.5"))
    run(control(page.text_input, "epochs").set_value("2"))
    assert line(page).endswith("scheduler.step_size=100ep scheduler.gamma=0.5 epochs=2")


def test_milestones_and_knots_are_added_and_removed():
    page = open_page("s0=scheduler=multistep")
    run(button(page, "add ('milestones',)").click())
    assert bridge.read_command(line(page)).node["milestones"] == ["40%", "80%", "90%"]
    run(button(page, "remove ('milestones', 0)").click())
    assert bridge.read_command(line(page)).node["milestones"] == ["80%", "90%"]
    page = open_page("s0=scheduler=piecewise")
    run(button(page, "add ('knots',)").click())
    node = bridge.read_command(line(page)).node
    assert node["knots"][3:] == [["80%", 0.3], ["100%", 0.0]]
    assert node["join"] == ["linear", "linear", "cosine", "cosine"]
    run(button(page, "remove ('knots', 0)").click())
    assert len(bridge.read_command(line(page)).node["join"]) == 3


def test_a_nested_schedule_is_built():
    page = open_page("s0=scheduler=cosine_annealing")
    run(button(page, "wrap_warmup").click())
    assert line(page).startswith("python train.py scheduler=sequential ")
    run(control(page.selectbox, "add ()").select("oneflow.optim.lr_scheduler.ChainedScheduler"))
    run(control(page.text_input, "scheduler.milestones[1] text").set_value("60"))
    run(control(page.selectbox, "class ('schedulers', 1)").select("schedulers.rex.REXLR"))
    node = bridge.read_command(line(page)).node
    names = [part["_target_"].rpartition(".")[2] for part in node["schedulers"]]
    assert names == ["LinearLR", "REXLR", "ChainedScheduler"]
    assert node["milestones"] == ["8%", "60%"]
    trained = trace(bridge.read_command(line(page)))
    assert rates(page) == {step: trained[step] for step in rates(page)}
    run(button(page, "down () 0").click())
    run(button(page, "remove ('schedulers', 2)").click())
    node = bridge.read_command(line(page)).node
    names = [part["_target_"].rpartition(".")[2] for part in node["schedulers"]]
    assert (names, node["milestones"]) == (["REXLR", "LinearLR"], ["8%"])


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
    assert rows(page) == before
    assert control(page.text_input, f"{key} text").value == typed


# --- several curves, the address, what is pasted ------------------------------------------------


def test_curves_are_compared_edited_and_removed():
    page = open_page("s0=scheduler=step")
    for name in ("rex", "one_cycle"):
        run(next(b for b in page.button if b.label == "Compare with another").click())
        run(control(page.selectbox, "choice").select(name))
    assert {row["curve"] for row in rows(page)} == {"c0", "c1", "c2"}
    assert rates(page, "c1") == {s: trace(Setup("rex", shipped("rex")))[s]
                                 for s in rates(page, "c1")}  # fmt: skip
    run(button(page, "edit 0").click())
    assert line(page) == "python train.py scheduler=step"
    run(button(page, "remove 1").click())
    assert {row["curve"] for row in rows(page)} == {"c0", "c1"}
    assert page.query_params["s1"] == ["scheduler=one_cycle"]


def test_a_shared_address_shows_the_same_page():
    curves = "s0=scheduler=step scheduler.gamma=0.5 epochs=5&s1=scheduler=rex"
    first = open_page(f"{curves}&edit=1&log=true")
    address = {name: value[0] for name, value in first.query_params.items()}
    second = AppTest.from_file(PAGE, default_timeout=120)
    for name, value in address.items():
        second.query_params[name] = value
    run(second)
    assert rows(first) == rows(second) and line(first) == line(second)
    assert line(second) == "python train.py scheduler=rex"
    assert address["s0"] == "scheduler=step scheduler.gamma=0.5 epochs=5"
    assert min(row["shown"] for row in rows(second)) > 0


def test_an_address_that_cannot_be_read_is_refused_and_the_first_view_shown():
    for language, message in (("en", "The address could not be read: "), ("zh", "无法读取地址：")):
        page = open_page(f"s0=scheduler._target_=os.system&lang={language}")
        assert errors(page)[0].startswith(f"{message}In the address, s0: ")
        assert line(page) == f"python train.py scheduler={FIRST}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("python train.py scheduler=step scheduler.gamma=0.5", ""),
        ("_target_: schedulers.rex.REXLR\ntotal_steps: 50%\n", ""),
        ("_target_: os.system\ncommand: ls\n", "scheduler._target_='os.system'"),
        ("python train.py model=resnet18", "'model=resnet18' does not decide the curve"),
    ],
)
def test_a_pasted_command_line_or_yaml_is_drawn_or_refused(text, message):
    page = open_page()
    page.text_area[0].set_value(text)
    run(next(b for b in page.button if b.label == "Draw it").click())
    assert [error.startswith(message) for error in errors(page)] == ([True] if message else [])
    if not message:
        node = bridge.read_command(text).node if "train.py" in text else bridge.read_yaml(text)
        assert bridge.read_command(line(page)).node == node


def test_chinese_and_the_two_axes():
    page = open_page("lang=zh&s0=scheduler=cosine_annealing scheduler.T_max=50%")
    assert page.title[0].value == "学习率调度探索"
    assert any("过了最低点又升高" in html.proto.body for html in page.get("html"))
    run(page.button_group[1].set_value(True))
    assert page.query_params["log"] == ["true"]


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".gif", b"GIF89a"), (".csv", b"step,epoch,")]
)
def test_files_are_made_when_they_are_asked_for(suffix, start):
    setups = [Setup(name, shipped(name), epochs=1) for name in ("step", "rex")]
    content = write_file(suffix, setups, log=False)
    assert content.startswith(start)
    if suffix == ".csv":
        assert content.count(b"\n") == 1 + 352
