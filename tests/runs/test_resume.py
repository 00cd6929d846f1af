"""A resumed run is the one that would have been, bit for bit; a fork follows its own schedule."""

import json
import random
import shutil
import signal
import time

import numpy as np
import pytest
from omegaconf import OmegaConf

from runs.folder import read_metrics
from runs.overrides import differences
from schedulers import Horizon, trace_lr
from tests.conftest import ROOT, Run
from tests.helpers.continuing import (
    EVERYTHING,
    HARD,
    SCHEDULERS,
    SHORT,
    check_equal,
    evidence,
    faulty,
    finish,
    overrides_for,
    read_summary,
    start,
    wait_for,
)

NETS = "allow_targets=[tests.helpers.nets]"
COSINE = (*SHORT, "scheduler=cosine_annealing")
STEP = (*SHORT, "scheduler=step", "scheduler.step_size=1ep", *HARD, "trainer.keep_last=20")
FAULTS = ((21, "SIGKILL", -9), (34, "SIGTERM", 143), ("evaluation", "SIGINT", 130))


def test_a_run_goes_on_after_every_signal(tmp_path, whole, train_here):
    """Real ones. Checkpoints are every 3 steps, evaluations every 4: the newest checkpoint at 21
    does not have the evaluation before; at 34 it alone has written to disk what is logged.
    """
    words, cut = (*SHORT, *overrides_for("reduce_on_plateau")), tmp_path / "run"
    arguments = (*words, f"hydra.run.dir={cut}")
    for moment, name, expected in FAULTS:
        code, out, error = faulty(moment, name, *arguments)
        assert (code, error) == (expected, "")
        arguments = (f"resume={cut}",)
        if code > 0:
            steps = {"SIGTERM": 34, "SIGINT": 36}[name]
            assert f"Interrupted after step {steps}. Continue with: python train.py resume=" in out
            summary = read_summary(cut)
            assert (summary["status"], summary["steps"]) == ("interrupted", steps)
    state = json.loads((cut / "checkpoints/last/state.json").read_text())
    assert (state["step"], state["last"]["step"]) == (36, 32)  # the evaluation was cut off
    train_here(*arguments, folder=cut)
    check_equal(evidence(whole(*words)), evidence(cut))
    assert read_summary(cut)["lr_check"] == {"steps": 40, "mismatches": 0}
    assert len({rate for _, rate in Run(cut, None).curves["lr/group0"]}) > 2  # it has dropped


def full(*cases):
    return [pytest.param(*case, marks=pytest.mark.full) for case in cases]


@pytest.mark.parametrize(
    ("words", "stops"),
    [
        ((*SHORT, *overrides_for("warmup")), (16, 30)),  # at an evaluation; at an epoch's end
        (
            EVERYTHING,
            (9, 15),
        ),  # inside an epoch: before SWA has begun, and between its second weights and its third
        ((*SHORT, "dataset.val_size=0", "max_steps=9"), (4,)),
        *full(((*EVERYTHING, "optimizer=lamb"), (13,))),
        *full(*(((*SHORT, *overrides_for(name)), (5, 16, 30)) for name in SCHEDULERS)),
    ],
)
def test_stopped_by_sigterm(train_here, whole, caplog, words, stops):
    caplog.set_level("INFO")
    cut = train_here(*words, stop=stops[0])
    for stop in (*stops[1:], None):
        train_here(f"resume={cut}", NETS, stop=stop)
    check_equal(evidence(whole(*words)), evidence(cut))
    assert ("test top-1 with SWA weights" in caplog.text) == ("trainer.ema_decay=0.9" in words)


INTRODUCTION = "scheduler=none, base rate"  # of a run that is about to train


@pytest.mark.full
def test_a_hundred_kills_at_random_moments(train_here, whole, tmp_path, capsys, caplog):
    """Saving every 2 steps: each kill leaves a run that goes on, to the very same end."""
    words = (*SHORT, "trainer.checkpoint_every=2", "epochs=200", "trainer.eval_every=250")
    cut, log, moments = tmp_path / "run", tmp_path / "run/train.log", random.Random(0)
    assert faulty(1, "SIGKILL", *words, f"hydra.run.dir={cut}")[0] == -signal.SIGKILL
    for resumes in range(1, 101):
        process = start(f"resume={cut}", cwd=tmp_path)
        wait_for(lambda many=resumes: log.read_text().count(INTRODUCTION) > many)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        assert finish(process)[0] == -signal.SIGKILL, f"the run was over after {resumes} resumes"
    reached = json.loads((cut / "checkpoints/last/state.json").read_text())["step"]
    train_here(f"resume={cut}")
    damaged = (log.read_text() + caplog.text).count("is damaged")
    with capsys.disabled():
        print(f"\n{resumes} resumes and SIGKILLs up to step {reached}; unreadable: {damaged}")
    assert damaged == 0
    check_equal(evidence(whole(*words)), evidence(cut))


def damage(checkpoint):
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (damage, "model.safetensors is not as it was written. Going back to step 4."),
        (lambda path: shutil.rmtree(path.parent), "There is no checkpoint in "),  # begins again
    ],
)
def test_a_moved_run_goes_on_from_what_it_has(stopped, train_here, whole, caplog, spoil, sentence):
    caplog.set_level("INFO")
    spoil(stopped / "checkpoints/step_00000006")
    (stopped.parent / "deep").mkdir()
    moved = stopped.rename(stopped.parent / "deep/it's (moved)")
    train_here(f"resume={moved}", folder=moved)
    assert sentence in caplog.text
    first, second = evidence(whole(*COSINE)), evidence(moved)
    for key in ("tensors", "curves", "lines"):
        assert first[key] == second[key], key


def test_a_resumed_run_may_be_longer_where_the_schedule_stays(train_here, whole):
    cut = train_here(*STEP, "epochs=2")
    train_here(f"resume={cut}", "epochs=4")
    first, second = evidence(whole(*STEP)), evidence(cut)
    assert second.pop("speed") == sorted([*first.pop("speed"), 19])  # recorded at its first end too
    check_equal(first, second)
    saved = (cut / ".hydra/config.yaml").read_text()
    assert "epochs: 4" in saved and "resume: null" in saved


def test_a_complete_run_has_nothing_left_to_do(train_here, whole, caplog):
    caplog.set_level("INFO")
    run = whole(*COSINE)
    before = (run / "summary.json").read_bytes()
    train_here(f"resume={run}", folder=run)
    assert "nothing is left to do" in caplog.text
    assert (run / "summary.json").read_bytes() == before


REFUSED = [  # by a run that was stopped after 6 of 40 steps
    ("resume", "batch_size=4", "batch_size: the run has 8, asked for 4"),
    ("resume", "seed=7 model=resnet20", "model._target_: .*; seed: the run has 0, asked for 7"),
    ("resume", "epochs=5", "epochs=5 changes the schedule .* the rate of step 1 was"),
    ("resume", "max_steps=3", "max_steps=3: the run has made 6 steps, more than 3"),
    ("resume", "scheduler=step", "scheduler.T_max.*scheduler._target_"),
    ("resume", "trainer.eval_every=2", "trainer.eval_every: the run has 1ep, asked for 2"),
    ("resume", "fork=x", "resume and fork"),
    ("resume", "dataset.nope=1", "nope"),
    ("fork", "fork_at=5", "it has those of 4, 6"),
    ("fork", "fork_at=6 max_steps=6", "nothing is left of 6 steps"),
    ("fork", "model=resnet20", "model._target_: the run has models.convnet"),
    ("fork", "optimizer=adam", "optimizer._target_"),
    ("fork", "trainer.decay_norm_and_bias=false", "and_bias: the run has None, asked for False"),
    ("fork", "batch_size=4", "batch_size: the run has 8, asked for 4"),
    ("fork", "fork_at=soon", "fork_at='soon': expected a duration"),
]


def test_what_cannot_be_continued_is_refused(stopped_once, train_here, tmp_path):
    files = {path: path.stat().st_mtime_ns for path in stopped_once.rglob("*.*")}
    for key, words, sentence in REFUSED:
        folder = stopped_once if key == "resume" else "fork"
        with pytest.raises(Exception, match=sentence):
            train_here(f"{key}={stopped_once}", *words.split(), folder=folder)
    assert files == {path: path.stat().st_mtime_ns for path in stopped_once.rglob("*.*")}
    for folder, sentence in (("nowhere", "There is no run folder"), ("", "is not a run folder")):
        with pytest.raises(FileNotFoundError, match=sentence):
            train_here(f"resume={tmp_path / folder}")


def test_a_share_of_a_run_that_gets_longer_is_refused(train_here):
    words = (*SHORT, "epochs=2", "trainer.eval_every=5", "trainer.swa_start=50%", "max_steps=4")
    cut = train_here(*words)
    with pytest.raises(ValueError, match=r"trainer.swa_start=50% was 10 steps and would be 20"):
        train_here(f"resume={cut}", "epochs=4")
    shutil.rmtree(cut / "checkpoints")
    with pytest.raises(FileNotFoundError, match="this run has no checkpoints"):
        train_here(f"fork={cut}", folder="fork")


def test_a_target_of_the_run_folder_is_not_called_unseen(stopped, train_here):
    config, overrides = (stopped / f".hydra/{name}.yaml" for name in ("config", "overrides"))
    config.write_text(config.read_text().replace("models.convnet.convnet_tiny", "os.system"))
    overrides.write_text(overrides.read_text() + "- model._target_=os.system\n")
    with pytest.raises(ValueError, match=r"model._target_='os.system' is refused"):
        train_here(f"resume={stopped}", folder=stopped)


def test_a_fork_under_the_same_schedule_is_the_same_run(train_here, whole):
    parent = whole(*STEP)
    fork = train_here(f"fork={parent}", "fork_at=18", folder="fork")
    first, second = evidence(parent), evidence(fork)
    del first["tensors"]["optimizer:applied"]
    assert first["tensors"].items() <= second["tensors"].items()
    for tag in ("train/loss", "lr/group0", "val/loss"):
        wanted = [point for point in first["curves"][tag] if point[0] >= 18]
        assert second["curves"][tag] == wanted
    assert second["lines"] == [line for line in first["lines"] if line["step"] > 18]
    assert second["summary"]["forked_from"] == {"run": str(parent), "step": 18}
    assert second["summary"]["lr_check"] == {"steps": 22, "mismatches": 0}


@pytest.mark.parametrize("scheduler", ["linear", *full(("reduce_on_plateau",))])
def test_a_fork_follows_its_own_schedule_and_can_be_resumed(train_here, whole, scheduler):
    parent = whole(*STEP)
    changes = ("optimizer.lr=0.05", "optimizer.weight_decay=0", "trainer.checkpoint_every=4")
    new = (f"fork={parent}", "fork_at=18", f"scheduler={scheduler}", *changes)
    unbroken = train_here(*new, folder="unbroken")
    cut = train_here(*new, folder="cut", stop=19)
    shutil.rmtree(cut / "checkpoints")  # as if killed before its first: it forks again
    train_here(f"resume={cut}", folder=cut, stop=35)
    train_here(f"resume={cut}", folder=cut)
    found = evidence(cut)
    check_equal(evidence(unbroken), found)
    options = [group["_options"] for group in found["state"]["optimizer"]["param_groups"]]
    assert [group["weight_decay"] for group in options] == [0, 0]
    node = OmegaConf.load(ROOT / f"conf/scheduler/{scheduler}.yaml")
    metrics = read_metrics(cut, "min")  # of the fork alone
    planned = trace_lr(node, [0.05], Horizon(40, 10), metrics=metrics)[0]
    rates = Run(cut, None).curves["lr/group0"]
    assert rates == [(step, float(np.float32(planned[step]))) for step in range(18, 40)]
    assert found["summary"]["forked_from"] == {"run": str(parent), "step": 18}


def test_differences_name_the_key_and_both_values():
    before = {"seed": 0, "fork": "a", "peak_lr": {"step": 0.1}, "trainer": {"a": 1, "b": None}}
    now = {"seed": 1, "fork": "b", "peak_lr": {"step": 0.2}, "trainer": {"a": 1, "c": {}}}
    found = list(differences(OmegaConf.create(before), OmegaConf.create(now)))
    assert found == [("seed", 0, 1), ("trainer.c", "no such key", {})]
