"""What stands on the explorer's page, without the page: controls, nodes, texts, chart points."""

import json
import re
import string

import numpy as np
import pytest

from schedulers import Horizon
from schedulers.lint import RULES, SHAPE_RULES
from scripts.explorer import bridge
from scripts.explorer import fields as fields
from scripts.explorer import nodes as nodes
from scripts.explorer.animation import animation_page
from scripts.explorer.bridge import Setup
from scripts.explorer.chart import chart_rows, chart_spec, describe
from scripts.explorer.texts import LINT_ZH, TEXTS, read_guide
from tests.conftest import ROOT

RUN = Horizon(total_steps=1000, steps_per_epoch=100)


def kinds(name: str) -> dict[str, str]:
    return {field.name: field.kind for field in fields.fields_of(bridge.shipped(name))}


def test_every_argument_has_the_control_of_its_type():
    assert kinds("one_cycle") == {
        "total_steps": "length",
        "pct_start": "number",
        "anneal_strategy": "choice",
        "div_factor": "number",
        "final_div_factor": "number",
        "three_phase": "switch",
    }
    assert kinds("sequential") == {
        "schedulers": "nodes",
        "milestones": "lengths",
        "interval_rescaling": "switch",
    }
    assert kinds("reduce_on_plateau") == {
        "mode": "choice", "factor": "number", "patience": "count", "threshold": "number",
        "threshold_mode": "choice", "cooldown": "count", "min_lr": "number", "eps": "number",
    }  # fmt: skip
    assert kinds("warmup")["scheduler_or_optimizer"] == "node"
    assert kinds("piecewise") == {"knots": "knots", "join": "join"}
    (function,) = fields.fields_of(bridge.shipped("lambda"))
    inner = fields.fields_of(function.value, ("lr_lambda",))
    assert [(f.name, f.kind, fields.key_of(f.path)) for f in inner] == [
        ("warmup_steps", "length", "scheduler.lr_lambda.warmup_steps")
    ]
    down = fields.fields_of(bridge.shipped("cyclic"))[1]
    assert (down.name, down.value, down.units) == (
        "step_size_down",
        None,
        ("%", "ep", "steps", "null"),
    )


@pytest.mark.parametrize(
    ("value", "unit", "becomes"),
    [
        ("30%", "ep", "3ep"),
        ("3ep", "steps", 300),
        (250, "%", "25%"),
        (None, "%", "10%"),
        ("30%", "null", None),
        ("soon", "ep", "soon"),
    ],
)
def test_a_length_changes_its_unit(value, unit, becomes):
    assert fields.change_unit(value, (*fields.LENGTH_UNITS, "null"), unit, RUN) == becomes


@pytest.mark.parametrize(
    ("value", "unit", "becomes"),
    [
        ("0.5/ep", "/run", "0.000976563/run"),
        ("0.01/run", "/ep", "0.630957/ep"),
        (1.0, "/ep", "1/ep"),
    ],
)
def test_a_rate_changes_its_unit(value, unit, becomes):
    assert fields.change_unit(value, fields.RATE_UNITS, unit, RUN) == becomes


@pytest.mark.parametrize("name", bridge.names())
def test_every_slider_holds_the_value_of_the_yaml(name):
    def check(node, path):
        for field in fields.fields_of(node, path):
            if field.kind in ("length", "number", "count") and field.value is not None:
                marks = fields.slider_span(field.name, field.value, field.units, RUN)
                number, _ = fields.take_apart(field.value, field.units)
                assert float(number) in marks and 2 < len(marks) < 700 and marks == sorted(marks)
            if isinstance(field.value, dict):
                check(field.value, field.path)

    check(bridge.shipped(name), ())


KEYS = ["scheduler", "scheduler.gamma", "scheduler.milestones", "scheduler.milestones[0]", "epochs",
        "scheduler.schedulers", "scheduler.schedulers[1]", "scheduler.schedulers[1].total_iters",
        "optimizer.lr"]  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "place"),
    [
        ("scheduler.gamma='x': expected a number", "scheduler.gamma"),
        ("scheduler.milestones[0]='x': expected a duration", "scheduler.milestones[0]"),
        ("scheduler.milestones=[3]: expected increasing steps", "scheduler.milestones"),
        ("scheduler: StepLR(gamma=0) is refused: gamma must be above 0", "scheduler.gamma"),
        ("scheduler.schedulers[1]: LinearLR(a=1) is refused: total_iters is", KEYS[7]),
        ("scheduler.schedulers[1]='MyLR': expected a class with get_lr", "scheduler.schedulers[1]"),
        ("optimizer.lr=0 must be", "optimizer.lr"),
        ("The run has 9 steps: lower epochs or raise batch_size.", "epochs"),
        ("something else", None),
    ],
)
def test_a_sentence_finds_its_control(sentence, place):
    assert nodes.place_of(sentence, KEYS) == place


def test_parts_are_added_where_the_last_one_has_its_middle():
    node = nodes.add_part(bridge.shipped("sequential"), "schedulers.rex.REXLR", RUN)
    assert node["milestones"] == ["8%", "54%"]
    assert node["schedulers"][2] == {"_target_": "schedulers.rex.REXLR", "total_steps": "46%"}
    swapped = nodes.swap_parts(node, 1)
    assert [part["_target_"].rpartition(".")[2] for part in swapped["schedulers"]] == [
        "LinearLR", "REXLR", "ExponentialLR",
    ]  # fmt: skip
    assert nodes.remove_part(node, 0)["milestones"] == ["54%"]
    assert nodes.remove_part(node, 2)["milestones"] == ["8%"]
    assert bridge.shipped("sequential")["milestones"] == ["8%"]


@pytest.mark.parametrize("how", ["warmup", "then", "times"])
@pytest.mark.parametrize("name", bridge.names())
def test_whatever_is_built_on_can_be_drawn(name, how):
    if name == "reduce_on_plateau":
        assert bridge.shipped(name)["_target_"] not in nodes.nestable()
        return
    node = nodes.wrapped(bridge.shipped(name), how)
    describe(Setup("chained" if how == "times" else "sequential", node, epochs=1))


# --- the chart ----------------------------------------------------------------------------------


def test_few_points_draw_the_chart():
    setups = [Setup(name, bridge.shipped(name), epochs=223) for name in ("cyclic", "step")]
    rows = chart_rows(setups, 0, log=False).to_pylist()
    assert 223 * 352 == 78_496 and len(rows) < 2 * 400
    for index, setup in enumerate(setups):
        rates = bridge.trace(setup)
        drawn = {row["step"]: row["rate"] for row in rows if row["curve"] == f"c{index}"}
        assert drawn == {step: rates[step] for step in drawn}
        joined = np.interp(range(len(rates)), *zip(*drawn.items(), strict=True))
        assert np.abs(joined - rates).max() <= 5e-4 * 0.1


def test_the_figures_of_a_curve():
    drawn = describe(Setup("step", bridge.shipped("step") | {"step_size": "50%", "gamma": 0.5}))
    assert (drawn.area, drawn.peak, drawn.least, drawn.above) == (
        pytest.approx(0.75), 0.1, pytest.approx(0.05), 0.5,
    )  # fmt: skip


def test_a_slider_moves_only_data():
    spec = chart_spec(["step"], 0, RUN, 1000, False, "en")
    assert spec == chart_spec(["step"], 0, RUN, 1000, False, "en") and "data" not in spec
    tooltips = [t for layer in spec["layer"] for t in layer["encoding"].get("tooltip", [])]
    titles = [tooltip["title"] for tooltip in tooltips]
    assert titles == ["step", "epoch", "lr step"]  # a title twice would show one of the two


def test_other_rates_are_other_data_to_the_page():
    """Streamlit compares the sizes and the names of the columns, and nothing else."""
    seen = set()
    for gamma in (0.2, 0.3, 0.2):
        setup = Setup("step", bridge.shipped("step") | {"gamma": gamma})
        rows = chart_rows([setup], 0, log=False)
        seen.add((rows.num_rows, *rows.column_names))
    assert len(seen) == 2 and len({names[0] for names in seen}) == 1


@pytest.mark.parametrize("log", [False, True])
def test_the_animation_holds_the_curves_and_nothing_from_outside(log):
    rows = chart_rows([Setup("step", bridge.shipped("step"))], 0, log)
    words = {"step": "step", "epoch": "epoch", "play": "Play"}
    page = animation_page(rows, ["</script>"], log, 10560, 352, words)
    (data,) = re.findall(r"const D=(.*),\$=id", page)
    told = json.loads(data)
    assert told["curves"][0]["rates"][0] == 0.1 and told["total"] == 10560
    assert page.count("</script>") == 1 and "http" not in page and "@" not in page


# --- texts --------------------------------------------------------------------------------------


def test_every_text_is_there_in_both_languages_with_the_same_places():
    def places(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, (english, chinese) in TEXTS.items():
        assert chinese and (english or key == "refused"), key
        assert places(english) == places(chinese), key


def test_every_text_that_the_page_asks_for_exists():
    source = "".join(path.read_text() for path in (ROOT / "scripts/explorer").glob("*.py"))
    asked = set(re.findall(r'say\("(\w+)"', source))
    assert asked and asked <= TEXTS.keys()


def test_the_lint_speaks_chinese():
    assert (RULES | SHAPE_RULES).keys() == LINT_ZH.keys()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_guide_has_every_schedule_and_every_argument(language):
    guide = read_guide(language)
    assert sorted(guide) == bridge.names()
    for name, entry in guide.items():
        shown = [field.name for field in fields.fields_of(bridge.shipped(name))]
        assert set(shown) - {"verbose"} <= entry.arguments.keys(), name
        for text in (entry.what, entry.short, entry.when, entry.trap, *entry.arguments.values()):
            assert text and "](" not in text
