"""A new run from a checkpoint of another one, under its own schedule."""

import shutil

import numpy as np
import pytest

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


@pytest.mark.parametrize("scheduler", ["linear", "reduce_on_plateau", "sequential"])
def test_a_fork_follows_its_own_schedule_and_can_be_resumed(train_here, scheduler):
    from omegaconf import OmegaConf

    from schedulers import Horizon, trace_lr

    parent = train_here(*SHORT, "scheduler=step", "scheduler.gamma=0.5", folder="parent", stop=18)
    new = (
        f"fork={parent}",
        f"scheduler={scheduler}",
        "optimizer.lr=0.05",
        "optimizer.weight_decay=0",
    )
    whole = train_here(*new, folder="whole")
    cut = whole.parent / "cut"
    if scheduler == "linear":
        killed(20, *new, f"hydra.run.dir={cut}")  # before its first checkpoint: it forks again
    else:
        train_here(*new, folder="cut", stop=25)
    train_here(f"resume={cut}", folder="cut", stop=35)
    cut = train_here(f"resume={whole.parent / 'cut'}", folder="cut")
    check_equal(evidence(whole), evidence(cut))
    (group,) = evidence(cut)["state"]["optimizer"]["param_groups"]
    assert group["_options"]["weight_decay"] == 0
    node = OmegaConf.load(ROOT / f"conf/scheduler/{scheduler}.yaml")
    planned = trace_lr(node, [0.05], Horizon(40, 10))[0]
    rates = Run(cut, None).curves["lr/group0"]
    assert rates == [(step, float(np.float32(planned[step]))) for step in range(18, 40)]
    assert Run(cut, None).summary["forked_from"] == {"run": str(parent), "step": 18}


def test_a_fork_that_cannot_be_is_told(stopped, train_here):
    def refused(*arguments: str) -> str:
        with pytest.raises((ValueError, OSError)) as error:
            train_here(f"fork={stopped}", *arguments, folder="fork")
        return str(error.value)

    assert "it has those of 4, 6" in refused("fork_at=5")
    assert "nothing is left of 6 steps" in refused("fork_at=6", "max_steps=6")
    assert "model._target_: the run has models.convnet" in refused("model=resnet20")
    assert "optimizer._target_" in refused("optimizer=adam")
    assert "batch_size: the run has 8, asked for 4" in refused("batch_size=4")
    assert "fork_at='soon': expected a duration" in refused("fork_at=soon")
    shutil.rmtree(stopped / "checkpoints")
    assert "this run has no checkpoints" in refused()


@pytest.mark.full
def test_a_sweep_of_forks(stopped, tmp_path):
    command = ("-m", f"fork={stopped}", "scheduler=linear,step", "fork_at=4", "max_steps=8")
    code, _, error = finish(start(*command, cwd=tmp_path))
    assert (code, error) == (0, "")
    runs = [read_summary(path.parent) for path in tmp_path.glob("multirun/*/*/summary.json")]
    found = sorted((run["scheduler"], run["status"], run["steps"]) for run in runs)
    assert found == [("linear", "completed", 8), ("step", "completed", 8)]
    assert [run["forked_from"] for run in runs] == [{"run": str(stopped), "step": 4}] * 2
