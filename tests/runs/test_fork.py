"""A new run from a checkpoint of another one, under its own schedule."""

import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf

from schedulers import Horizon, trace_lr
from tests.conftest import ROOT, Run
from tests.helpers.continuing import (
    HARD,
    SHORT,
    check_equal,
    evidence,
    finish,
    killed,
    read_summary,
    start,
)


def test_a_fork_under_the_same_schedule_is_the_same_run(train_here):
    settings = (*SHORT, "scheduler=warmup", *HARD, "trainer.keep_last=20")
    parent = train_here(*settings, folder="parent")
    fork = train_here(f"fork={parent}", "fork_at=18", folder="fork")
    first, second = evidence(parent), evidence(fork)
    for key, content in first["tensors"].items():
        if key != "optimizer:applied":
            assert second["tensors"][key] == content, key
    for tag in ("train/loss", "lr/group0", "val/loss"):
        wanted = [point for point in first["curves"][tag] if point[0] >= 18]
        assert second["curves"][tag] == wanted
    assert second["lines"] == [line for line in first["lines"] if line["step"] > 18]
    assert second["summary"]["forked_from"] == {"run": str(parent), "step": 18}
    assert second["summary"]["lr_check"] == {"steps": 22, "mismatches": 0}


@pytest.mark.parametrize("scheduler", ["linear", "reduce_on_plateau"])
def test_a_fork_follows_its_own_schedule_and_can_be_resumed(train_here, scheduler):
    parent = train_here(*SHORT, "scheduler=step", "scheduler.gamma=0.5", folder="parent", stop=18)
    changes = ("optimizer.lr=0.05", "optimizer.weight_decay=0")
    new = (f"fork={parent}", f"scheduler={scheduler}", *changes)
    whole = train_here(*new, folder="whole")
    cut = whole.parent / "cut"
    if scheduler == "linear":
        killed(20, *new, f"hydra.run.dir={cut}")  # before its first checkpoint: it forks again
    else:
        train_here(*new, folder="cut", stop=25)
    train_here(f"resume={cut}", folder="cut", stop=35)
    cut = train_here(f"resume={cut}", folder="cut")
    found = evidence(cut)
    check_equal(evidence(whole), found)
    (group,) = found["state"]["optimizer"]["param_groups"]
    assert group["_options"]["weight_decay"] == 0
    node = OmegaConf.load(ROOT / f"conf/scheduler/{scheduler}.yaml")
    planned = trace_lr(node, [0.05], Horizon(40, 10))[0]
    rates = Run(cut, None).curves["lr/group0"]
    assert rates == [(step, float(np.float32(planned[step]))) for step in range(18, 40)]
    assert found["summary"]["forked_from"] == {"run": str(parent), "step": 18}


REFUSED = {
    "fork_at=5": "it has those of 4, 6",
    "fork_at=6 max_steps=6": "nothing is left of 6 steps",
    "model=resnet20": "model._target_: the run has models.convnet",
    "optimizer=adam": "optimizer._target_",
    "trainer.decay_norm_and_bias=false": "decay_norm_and_bias: the run has None, asked for False",
    "batch_size=4": "batch_size: the run has 8, asked for 4",
    "fork_at=soon": "fork_at='soon': expected a duration",
}


def test_a_fork_that_cannot_be_is_refused(stopped, train_here):
    for words, sentence in REFUSED.items():
        with pytest.raises(ValueError) as error:
            train_here(f"fork={stopped}", *words.split(), folder="fork")
        assert sentence in str(error.value)
    shutil.rmtree(stopped / "checkpoints")
    with pytest.raises(FileNotFoundError, match="this run has no checkpoints"):
        train_here(f"fork={stopped}", folder="fork")


@pytest.mark.full
def test_a_sweep_of_forks(stopped, tmp_path):
    command = ("-m", f"fork={stopped}", "scheduler=linear,step", "fork_at=4", "max_steps=8")
    code, _, error = finish(start(*command, cwd=tmp_path))
    assert (code, error) == (0, "")
    runs = [read_summary(path.parent) for path in tmp_path.glob("multirun/*/*/summary.json")]
    found = sorted((run["scheduler"], run["status"], run["steps"]) for run in runs)
    assert found == [("linear", "completed", 8), ("step", "completed", 8)]
    assert [run["forked_from"] for run in runs] == [{"run": str(stopped), "step": 4}] * 2
