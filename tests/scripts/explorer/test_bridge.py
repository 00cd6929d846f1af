"""A page's schedule, as a line to train it, as YAML and as an address, and back."""

import json
import subprocess
import sys
from copy import deepcopy

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from runs.build import base_lrs, build_horizon
from schedulers import trace_lr
from scripts.explorer.bridge import (
    Setup,
    names,
    read_command,
    read_state,
    read_yaml,
    shipped,
    trace,
    write_command,
    write_state,
    write_yaml,
)
from scripts.explorer.node import same
from tests.conftest import ROOT

UPSTREAM = "oneflow.optim.lr_scheduler."
FIXED = {"_target_": "schedulers.fixed.FixedLR"}


def changed(name, edit, **fields):
    """A setup whose node is the shipped one, changed by a function or by other arguments."""
    node = shipped(name)
    edit(node) if callable(edit) else node.update(edit)
    return Setup(name, node, **fields)


def with_part(node, part=FIXED, **fields):
    node["schedulers"].append(deepcopy(part))
    node.update(fields)


def without_last_part(node):
    node["schedulers"].pop()
    node.update(milestones=["8%"])


# What can be changed, and the words after `python train.py` that do it.
TABLE = {
    "nothing": (changed("step", {}), "scheduler=step"),
    "a number": (changed("step", {"gamma": 0.5}), "scheduler=step scheduler.gamma=0.5"),
    "a small number": (
        changed("cosine_annealing", {"eta_min": 1e-05}),
        "scheduler=cosine_annealing scheduler.eta_min=1e-05",
    ),
    "a duration": (
        changed("step", {"step_size": "12.5%"}),
        "scheduler=step scheduler.step_size=12.5%",
    ),
    "a duration with a blank": (
        changed("step", {"step_size": "10 epochs"}),
        "scheduler=step 'scheduler.step_size=10 epochs'",
    ),
    "steps in place of a duration": (
        changed("step", {"step_size": 500}),
        "scheduler=step scheduler.step_size=500",
    ),
    "steps as text": (
        changed("step", {"step_size": "500"}),
        "scheduler=step 'scheduler.step_size=\"500\"'",
    ),
    "a rate": (
        changed("exponential", {"gamma": "0.95/ep"}),
        "scheduler=exponential scheduler.gamma=0.95/ep",
    ),
    "a null": (
        changed("inverse_sqrt", {"timescale": None}),
        "scheduler=inverse_sqrt scheduler.timescale=null",
    ),
    "a choice": (
        changed("one_cycle", {"anneal_strategy": "linear"}),
        "scheduler=one_cycle scheduler.anneal_strategy=linear",
    ),
    "a choice like a sum": (
        changed("warmup_stable_decay", {"decay_type": "linear"}),
        "scheduler=warmup_stable_decay scheduler.decay_type=linear",
    ),
    "a switch": (
        changed("one_cycle", {"three_phase": True}),
        "scheduler=one_cycle scheduler.three_phase=true",
    ),
    "a list": (
        changed("multistep", {"milestones": ["10ep", "60%", 9000]}),
        "scheduler=multistep 'scheduler.milestones=[10ep,60%,9000]'",
    ),
    "a list of lists": (
        changed("piecewise", {"knots": [[0, 1.0], ["50%", 0.1]], "join": "linear"}),
        "scheduler=piecewise 'scheduler.knots=[[0,1.0],[50%,0.1]]' scheduler.join=linear",
    ),
    "an argument more": (
        changed("linear", {"verbose": True}),
        "scheduler=linear +scheduler.verbose=true",
    ),
    "an argument less": (
        changed("step", lambda node: node.pop("gamma")),
        "scheduler=step '~scheduler.gamma'",
    ),
    "a null less": (
        changed("cyclic", lambda node: node.pop("step_size_down")),
        "scheduler=cyclic scheduler.step_size_down=0 '~scheduler.step_size_down'",
    ),
    "another class": (
        Setup("none", {"_target_": f"{UPSTREAM}StepLR", "step_size": "10ep"}),
        f"scheduler=none scheduler._target_={UPSTREAM}StepLR +scheduler.step_size=10ep",
    ),
    "a number of a part": (
        changed("sequential", lambda node: node["schedulers"][0].update(start_factor=0.2)),
        "scheduler=sequential scheduler.schedulers.0.start_factor=0.2",
    ),
    "an argument less of a part": (
        changed("trapezoid", lambda node: node["schedulers"][2].pop("start_factor")),
        "scheduler=trapezoid '~scheduler.schedulers.2.start_factor'",
    ),
    "a part more": (
        changed("sequential", lambda node: with_part(node, milestones=["8%", "50%"])),
        f"scheduler=sequential 'scheduler.schedulers=[{{_target_:{UPSTREAM}LinearLR,"
        f"start_factor:0.1,total_iters:8%}},{{_target_:{UPSTREAM}ExponentialLR,gamma:0.01/run}},"
        "{_target_:schedulers.fixed.FixedLR}]' 'scheduler.milestones=[8%,50%]'",
    ),
    "a part less": (
        changed("trapezoid", without_last_part),
        f"scheduler=trapezoid 'scheduler.schedulers=[{{_target_:{UPSTREAM}LinearLR,"
        "start_factor:0.05,total_iters:8%},{_target_:schedulers.fixed.FixedLR}]' "
        "'scheduler.milestones=[8%]'",
    ),
    "a composite in another": (
        changed("chained", lambda node: with_part(node, shipped("warmup"))),
        None,
    ),
    "a function's argument": (
        changed("lambda", lambda node: node["lr_lambda"].update(warmup_steps="5ep")),
        "scheduler=lambda scheduler.lr_lambda.warmup_steps=5ep",
    ),
    "another function": (
        changed(
            "lambda",
            {
                "lr_lambda": {
                    "_target_": "schedulers.multiplicative.hold_then_decay",
                    "_partial_": True,
                    "hold_steps": "50%",
                    "gamma": 0.5,
                }
            },
        ),
        "scheduler=lambda '~scheduler.lr_lambda.warmup_steps' scheduler.lr_lambda._target_="
        "schedulers.multiplicative.hold_then_decay +scheduler.lr_lambda.hold_steps=50% "
        "+scheduler.lr_lambda.gamma=0.5",
    ),
    "a node for a number": (
        changed("reduce_on_plateau", {"min_lr": [0.01]}),
        "scheduler=reduce_on_plateau 'scheduler.min_lr=[0.01]'",
    ),
    "the run": (
        changed("rex", {}, base_lr=0.05, epochs=200, batch_size=512, train_size=10_000),
        "scheduler=rex optimizer.lr=0.05 epochs=200 batch_size=512 dataset.train_size=10000",
    ),
}


@pytest.fixture(scope="module")
def composed():
    """A function that composes a command line as `python train.py` does."""
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf"), job_name="train"):
        yield lambda words: compose("config", words)


def words_of(line):
    """The overrides of a line, as a shell would hand them to Python."""
    echo = f"set -f; printf '%s\\0' {line}"
    done = subprocess.run(["bash", "-c", echo], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("python\0train.py\0")
    return done.stdout.split("\0")[2:-1]


def assert_trains_this(setup, config):
    node = OmegaConf.to_container(config.scheduler, resolve=True)
    assert same(node, setup.node)
    assert build_horizon(config) == setup.horizon
    if setup.name != "reduce_on_plateau":
        (rates,) = trace_lr(config.scheduler, base_lrs(config), build_horizon(config))
        assert rates == trace(setup)


@pytest.mark.parametrize(("setup", "words"), TABLE.values(), ids=TABLE)
def test_the_line_trains_exactly_what_is_drawn(setup, words, composed):
    line = write_command(setup)
    if words is not None:
        assert line == f"python train.py {words}"
    assert_trains_this(setup, composed(words_of(line)))
    assert read_command(line) == setup
    assert same(read_yaml(write_yaml(setup)), setup.node)
    assert read_state(write_state([setup], {})) == ([setup], {})


@pytest.mark.parametrize("name", names())
def test_every_shipped_schedule_goes_there_and_back(name, composed):
    setup = Setup(name, shipped(name), base_lr=0.2, epochs=3, batch_size=900)
    line = write_command(setup)
    assert line == f"python train.py scheduler={name} optimizer.lr=0.2 epochs=3 batch_size=900"
    assert_trains_this(setup, composed(words_of(line)))
    assert read_command(line) == setup
    assert same(read_yaml(write_yaml(setup)), setup.node)


def test_the_defaults_are_those_of_the_project(composed):
    config = composed(["scheduler=step"])
    setup = Setup("step", shipped("step"))
    assert_trains_this(setup, config)
    assert base_lrs(config) == [setup.base_lr]
    assert (config.epochs, config.batch_size) == (setup.epochs, setup.batch_size)


def test_a_shell_and_the_preview_draw_the_line(tmp_path):
    setup = TABLE["a part more"][0]
    line = write_command(setup).replace("python train.py", f"{sys.executable} -m scripts.preview")
    command = f"{line} preview.out={tmp_path}/curve.json"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "curve.json").read_text())["lr"] == [trace(setup)]


def test_plateau_follows_a_made_up_metric_seen_once_per_epoch():
    rates = trace(Setup("reduce_on_plateau", shipped("reduce_on_plateau"), epochs=10))
    # of 352 steps an epoch: better up to epoch 4, patience 3, so the rate of epoch 9 is the first
    assert rates == [0.1] * (8 * 352) + [0.1 * 0.2] * (2 * 352)


def test_a_trace_is_the_callers_own():
    setup = Setup("step", shipped("step"), epochs=1)
    trace(setup).clear()
    assert trace(setup) == trace(Setup("none", shipped("step"), epochs=1))
    assert len(trace(setup)) == 352


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"))
TEXTS = TEXTS.filter(lambda text: text.isprintable() and "${" not in text and text != "???")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9)
    | TEXTS
    | st.sampled_from(["8%", "10 ep", "0.1/run", "null", "TRUE", "off", "1e-4", "'", '\\"', "\\"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b_", "C1"]), inner, max_size=3)
    ),
    max_leaves=6,
)
CHANGES = st.dictionaries(
    st.sampled_from(["schedulers", "milestones", "interval_rescaling", "gamma", "x"]), VALUES
)


@settings(max_examples=40, deadline=None)
@given(CHANGES, st.sampled_from(["sequential", "piecewise"]))
def test_any_plain_values_come_back_from_the_line_and_the_yaml(changes, name):
    setup = Setup(name, shipped(name) | changes)
    assert same(read_command(write_command(setup)).node, setup.node)
    assert same(read_yaml(write_yaml(setup)), setup.node)


@settings(max_examples=5, deadline=None)
@given(CHANGES)
def test_hydra_reads_any_plain_values_alike(composed, changes):
    setup = Setup("sequential", shipped("sequential") | changes)
    node = composed(words_of(write_command(setup))).scheduler
    assert same(OmegaConf.to_container(node, resolve=True), setup.node)
