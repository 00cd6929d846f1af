"""What strangers paste: it is a setup or one sentence, and nothing is called or resolved."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.explorer.bridge import (
    MAX_TEXT,
    read_command,
    read_yaml,
    write_command,
    write_yaml,
)
from scripts.explorer.setups import Setup, names, shipped, trace
from tests.helpers.mutations import CHANGES, HOSTILE, mutate
from tests.helpers.sandbox import outcome

FIXED = "schedulers.fixed.FixedLR"
DEEP = "[" * 500 + "]" * 500
LINES = [
    "hydra.run.dir=.",
    "--config-dir=. scheduler=step",
    "scheduler=lambda scheduler.lr_lambda._target_=builtins.eval",
    "scheduler=lambda 'scheduler.lr_lambda={_target_:os.kill}'",
    "scheduler=step 'scheduler.gamma=${oc.env:HOME}'",
    "scheduler=step 'scheduler.${oc.env:HOME}=1'",
    "scheduler=step scheduler.gamma=" + "9" * 400,
    f"scheduler=step scheduler.gamma={DEEP}",
    "scheduler=step +scheduler." + "a." * 900 + "a=1",
    "x" * (MAX_TEXT + 1),
    "\ud800",
]
YAMLS = [
    "_target_: os.system",
    f"_target_: {FIXED}\nx: {{_target_: os.system, _args_: [touch boom]}}",
    f"_target_: {FIXED}\nx: !!python/object/apply:os.system [touch boom]",
    f"_target_: {FIXED}\na: &a [x]\nb: *a",
    "a: &a [z, z]\nb: &b [*a, *a]\nc: &c [*b, *b]\n_target_: *c",
    f"_target_: {FIXED}\na: ${{oc.env:HOME}}",
    f"_target_: {FIXED}\na: .nan",
    f"_target_: {FIXED}\na: {DEEP}",
]


@pytest.fixture(scope="module", autouse=True)
def warm():
    """Import what reading may import before somebody watches for imports."""
    for name in names():
        trace(Setup(name, shipped(name), epochs=1))
    for line in ("scheduler=step 'scheduler.gamma=[1,{a:2}]'", "scheduler=[", "scheduler=step,rex"):
        with contextlib.suppress(ValueError):
            read_command(line)


def test_a_hostile_line_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "swordfish")
    for text in LINES:
        assert outcome(tmp_path, lambda text=text: read_command(text)) is None, text
    with pytest.raises(ValueError) as caught:
        read_command("scheduler=step 'epochs=${oc.env:HOME}'")
    assert "swordfish" not in str(caught.value)


def test_a_hostile_yaml_is_refused_in_one_sentence(tmp_path):
    for text in [*YAMLS, *(content.decode("latin-1") for content in HOSTILE)]:
        assert outcome(tmp_path, lambda text=text: read_yaml(text)) is None, text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base_lr": float("nan")}, "optimizer.lr=nan"),
        ({"train_size": 45_001}, "dataset.train_size=45001"),
        ({"node": {"_target_": FIXED, "a": object()}}, r"scheduler\.a=<object"),
        ({"node": {"_target_": FIXED, "a": {"b": "${x}"}}}, r"scheduler\.a\.b='\$\{x\}'"),
        ({"name": "../model/resnet18"}, "expected one of chained"),
        ({"node": shipped("warmup"), "batch_size": 1}, "with 2 scheduler nodes at most 1000000"),
    ],
)
def test_a_setup_that_no_run_could_have_is_refused(fields, message):
    setup = Setup(**({"name": "none", "node": shipped("none")} | fields))
    for use in (trace, write_command, write_yaml):
        with pytest.raises(ValueError, match=message):
            use(setup)


def write_all(setup):
    """Use a setup that was read: nothing but a sentence may come of it."""
    if setup.horizon.total_steps < 200_000:
        for use in (trace, write_command, write_yaml):
            use(setup)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, name=st.sampled_from(["sequential", "lambda", "piecewise", "cyclic"]))
def test_a_damaged_text_is_a_setup_or_one_sentence(changes, name, tmp_path):
    setup = Setup(name, shipped(name) | {"verbose": False}, epochs=2)
    line, text = (
        mutate(write(setup).encode(), changes).decode(errors="replace")
        for write in (write_command, write_yaml)
    )
    outcome(tmp_path, lambda: write_all(read_command(line)))
    outcome(tmp_path, lambda: write_all(Setup("none", read_yaml(text), epochs=2)))
