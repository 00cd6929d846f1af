"""A page's schedule, as a line to train it, as YAML and as an address, and back."""

import subprocess

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from runs.build import base_lrs, build_horizon
from schedulers import trace_lr
from scripts.explorer.bridge import (
    read_command,
    read_state,
    read_yaml,
    write_command,
    write_state,
    write_yaml,
)
from scripts.explorer.node import same
from scripts.explorer.setups import Setup, names, shipped, trace
from tests.conftest import ROOT

UPSTREAM = "oneflow.optim.lr_scheduler."


def changed(name, edit, **fields):
    """Return a setup whose node is the shipped one, changed by a function or by other arguments."""
    node = shipped(name)
    edit(node) if callable(edit) else node.update(edit)
    return Setup(name, node, **fields)


def with_part(node):
    node["schedulers"].append({"_target_": "schedulers.fixed.FixedLR"})
    node.update(milestones=["8%", "50%"])


# What can be changed, and the words after `python train.py` that do it (None: a long line).
TABLE = {
    "a number": (changed("cosine_annealing", {"eta_min": 1e-05}), "scheduler.eta_min=1e-05"),
    "a duration": (changed("step", {"step_size": "12.5%"}), "scheduler.step_size=12.5%"),
    "a blank": (changed("step", {"step_size": "10 epochs"}), "'scheduler.step_size=10 epochs'"),
    "steps as text": (changed("step", {"step_size": "500"}), "'scheduler.step_size=\"500\"'"),
    "a factor": (changed("exponential", {"gamma": "0.95/ep"}), "scheduler.gamma=0.95/ep"),
    "a null": (changed("inverse_sqrt", {"timescale": None}), "scheduler.timescale=null"),
    "a list": (
        changed("multistep", {"milestones": ["10ep", "60%", 9000]}),
        "'scheduler.milestones=[10ep,60%,9000]'",
    ),
    "a list of lists": (
        changed("piecewise", {"knots": [[0, 1.0], ["50%", 0.1]], "join": "linear"}),
        "'scheduler.knots=[[0,1.0],[50%,0.1]]' scheduler.join=linear",
    ),
    "an argument more": (changed("linear", {"verbose": True}), "+scheduler.verbose=true"),
    "an argument less": (changed("step", lambda node: node.pop("gamma")), "'~scheduler.gamma'"),
    "a null less": (
        changed("cyclic", lambda node: node.pop("step_size_down")),
        "scheduler.step_size_down=0 '~scheduler.step_size_down'",
    ),
    "another class": (
        Setup("none", {"_target_": f"{UPSTREAM}StepLR", "step_size": "10ep"}),
        f"scheduler._target_={UPSTREAM}StepLR +scheduler.step_size=10ep",
    ),
    "a part more": (changed("sequential", with_part), None),
    "a function's argument": (
        changed("lambda", lambda node: node["lr_lambda"].update(warmup_steps="5ep")),
        "scheduler.lr_lambda.warmup_steps=5ep",
    ),
    "the run": (
        changed("rex", {}, base_lr=0.05, epochs=200, batch_size=512, train_size=10_000),
        "optimizer.lr=0.05 epochs=200 batch_size=512 dataset.train_size=10000",
    ),
}


@pytest.fixture(scope="module")
def composed():
    """A function that composes a command line as `python train.py` does."""
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf"), job_name="train"):
        yield lambda words: compose("config", words)


def words_of(line):
    """Return the overrides of a line, as a shell passes them."""
    echo = f"set -f; printf '%s\\0' {line}"
    done = subprocess.run(["bash", "-c", echo], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("python\0train.py\0")
    return done.stdout.split("\0")[2:-1]


def assert_trains_this(setup, config):
    assert same(OmegaConf.to_container(config.scheduler, resolve=True), setup.node)
    assert (build_horizon(config), base_lrs(config)) == (setup.horizon, [setup.base_lr])
    if setup.name != "reduce_on_plateau":
        (rates,) = trace_lr(config.scheduler, base_lrs(config), build_horizon(config))
        assert rates == trace(setup).tolist()
    assert read_command(write_command(setup)) == setup
    assert same(read_yaml(write_yaml(setup)), setup.node)


@pytest.mark.parametrize(("setup", "words"), TABLE.values(), ids=TABLE)
def test_the_line_trains_exactly_what_is_drawn(setup, words, composed):
    line = write_command(setup)
    if words is not None:
        assert line == f"python train.py scheduler={setup.name} {words}"
    assert_trains_this(setup, composed(words_of(line)))
    assert read_state(write_state([setup], {})) == ([setup], {})


@pytest.mark.parametrize("name", names())
def test_every_shipped_schedule_goes_there_and_back(name, composed):
    setup = Setup(name, shipped(name), base_lr=0.2, epochs=3, batch_size=900)
    line = write_command(setup)
    assert line == f"python train.py scheduler={name} optimizer.lr=0.2 epochs=3 batch_size=900"
    assert_trains_this(setup, composed(line.split()[2:]))


def test_plateau_follows_a_made_up_metric_seen_once_per_epoch():
    rates = trace(Setup("reduce_on_plateau", shipped("reduce_on_plateau"), epochs=10)).tolist()
    # of 352 steps an epoch: better up to epoch 4, patience 3, so the rate of epoch 9 is the first
    assert rates == [0.1] * (8 * 352) + [0.1 * 0.2] * (2 * 352)


def test_lines_are_read_as_people_copy_them():
    words = "scheduler=step scheduler.gamma=0.5 epochs=90 dataset.train_size=null"
    for line in (
        f"$ python3.10 train.py {words}",
        f".venv/bin/python -m scripts.preview {words}",
        f"make train ARGS='{words}'",
        f"python train.py \\\n  {words}\n",
    ):
        assert read_command(line) == Setup("step", shipped("step") | {"gamma": 0.5}, epochs=90)
