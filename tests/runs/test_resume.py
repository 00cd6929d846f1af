"""A run that was stopped anywhere and resumed is the run that would have been, bit for bit."""

import json
import random
import signal
import time

import pytest
from omegaconf import OmegaConf

from runs.overrides import differences
from tests.conftest import Run, train_in
from tests.helpers.continuing import (
    FEW,
    HARD,
    SCHEDULERS,
    SHORT,
    check_equal,
    evidence,
    finish,
    killed,
    overrides_for,
    read_summary,
    start,
    wait_for,
)


def compare_stopped_with_whole(train_here, whole, *overrides: str, stops: tuple[int, ...]) -> None:
    cut = train_here(*SHORT, *overrides, stop=stops[0])
    for stop in (*stops[1:], None):
        train_here(f"resume={cut}", stop=stop)
        if stop is not None:
            summary = read_summary(cut)
            assert (summary["status"], summary["steps"]) == ("interrupted", stop)
    check_equal(whole(*SHORT, *overrides), evidence(cut))


@pytest.mark.parametrize("scheduler", FEW)
def test_stopped_thrice_by_sigterm(train_here, whole, scheduler):
    """The stops: inside an epoch, at an evaluation, and at an epoch's end."""
    compare_stopped_with_whole(train_here, whole, *overrides_for(scheduler), stops=(5, 16, 30))


@pytest.mark.full
@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - set(FEW)))
def test_stopped_thrice_by_sigterm_under_every_schedule(train_here, whole, scheduler):
    compare_stopped_with_whole(train_here, whole, *overrides_for(scheduler), stops=(5, 16, 30))


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
def test_dropout_and_a_stateful_optimizer(train_here, whole, optimizer):
    net = ("model._target_=tests.helpers.nets.with_dropout", "allow_targets=[tests.helpers.nets]")
    settings = (*SHORT, f"optimizer={optimizer}", *net)
    cut = train_here(*settings, stop=13)
    train_here(f"resume={cut}", net[1])
    check_equal(whole(*settings), evidence(cut))
    assert whole(*settings, "seed=1")["curves"] != whole(*settings)["curves"]


def test_without_a_validation_split(train_here, whole):
    settings = ("dataset.val_size=0", "max_steps=9")
    compare_stopped_with_whole(train_here, whole, *settings, stops=(4,))


def compare_killed_with_whole(tmp_path, whole, scheduler: str, kills: tuple[int, ...]) -> None:
    overrides = (*SHORT, *overrides_for(scheduler))
    cut = tmp_path / "run"
    killed(kills[0], *overrides, f"hydra.run.dir={cut}")
    for step in kills[1:]:
        killed(step, f"resume={cut}")
    train_in(tmp_path, f"resume={cut}")
    check_equal(whole(*overrides), evidence(cut))
    assert read_summary(cut)["lr_check"] == {"steps": 40, "mismatches": 0}


def test_killed_again_and_again(tmp_path, whole):
    """Checkpoints are every 3 steps, evaluations every 4. The kills come before the first
    checkpoint; at 21, after an evaluation that the newest checkpoint does not have; and at 34, when
    only the checkpoint has written to disk what is logged.
    """
    compare_killed_with_whole(tmp_path, whole, "reduce_on_plateau", (2, 21, 34))


@pytest.mark.full
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_killed_thrice_at_random_under_every_schedule(tmp_path, whole, scheduler):
    steps = random.Random(scheduler).sample(range(1, 40), 3)
    compare_killed_with_whole(tmp_path, whole, scheduler, tuple(sorted(steps)))


INTRODUCTION = "scheduler=none, base rate"  # of a run that is about to train


@pytest.mark.full
def test_a_hundred_kills_at_random_moments(train_here, whole, tmp_path, capsys, caplog):
    """Saving every 2 steps: each kill leaves a run that goes on, to the very same end."""
    overrides = (*SHORT, "trainer.checkpoint_every=2", "epochs=200", "trainer.eval_every=250")
    cut, log, moments = tmp_path / "run", tmp_path / "run/train.log", random.Random(0)
    killed(1, *overrides, f"hydra.run.dir={cut}")
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
    check_equal(whole(*overrides), evidence(cut))


def test_a_resumed_run_may_be_longer_where_the_schedule_stays(train_here, whole):
    step = (*SHORT, "scheduler=step", "scheduler.step_size=1ep", *HARD)
    cut = train_here(*step, "epochs=2")
    train_here(f"resume={cut}", "epochs=4")
    first, second = dict(whole(*step)), evidence(cut)
    assert second.pop("speed") == sorted([*first.pop("speed"), 19])  # recorded at its first end too
    check_equal(first, second)
    saved = (cut / ".hydra/config.yaml").read_text()
    assert "epochs: 4" in saved and "resume: null" in saved


REFUSED = [
    (["batch_size=4"], ["batch_size: the run has 8, asked for 4"]),
    (["seed=7", "model=resnet20"], ["seed: the run has 0, asked for 7", "model._target_: "]),
    (["epochs=5"], ["epochs=5 changes the schedule", "the rate of step 1 was"]),
    (["max_steps=3"], ["max_steps=3: the run has made 6 steps, more than 3"]),
    (["scheduler=step"], ["scheduler._target_", "scheduler.T_max"]),
    (["trainer.eval_every=2"], ["trainer.eval_every: the run has 1ep, asked for 2"]),
    (["fork=x"], ["resume and fork"]),
    (["dataset.nope=1"], ["nope"]),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_another_config_is_refused_with_what_differs(stopped, train_here, arguments, words):
    before = (stopped / ".hydra/config.yaml").read_text()
    files = sorted(path.name for path in stopped.rglob("*"))
    with pytest.raises(Exception) as error:
        train_here(f"resume={stopped}", *arguments, folder=stopped.name)
    for word in words:
        assert word in str(error.value)
    assert (stopped / ".hydra/config.yaml").read_text() == before
    assert sorted(path.name for path in stopped.rglob("*")) == files


def test_a_moved_run_folder(stopped, train_here):
    (stopped.parent / "deep").mkdir()
    moved = stopped.rename(stopped.parent / "deep/it's (moved)")
    train_here(f"resume={moved}", folder="deep/it's (moved)")
    assert Run(moved, None).summary["steps"] == 40


def test_a_damaged_checkpoint_is_passed_over(stopped, train_here, whole, caplog):
    path = stopped / "checkpoints/step_00000006/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    train_here(f"resume={stopped}", folder="stopped")
    assert "model.safetensors is not as it was written. Going back to step 4." in caplog.text
    first, second = whole(*SHORT, "scheduler=cosine_annealing"), evidence(stopped)
    assert first["tensors"] == second["tensors"]
    assert first["curves"] == second["curves"]


def test_a_complete_run_has_nothing_left_to_do(train_here, caplog):
    caplog.set_level("INFO")
    run = train_here(*SHORT, "max_steps=3")
    before = (run / "summary.json").read_bytes()
    train_here(f"resume={run}")
    assert "nothing is left to do" in caplog.text
    assert (run / "summary.json").read_bytes() == before


def test_what_is_no_run_folder_is_refused(tmp_path, train_here):
    for folder, sentence in (("nowhere", "There is no run folder"), ("", "is not a run folder")):
        with pytest.raises(FileNotFoundError, match=sentence):
            train_here(f"resume={tmp_path / folder}")


def test_a_target_of_the_run_folder_is_not_called_unseen(stopped, train_here):
    for name in ("config", "overrides"):
        path = stopped / f".hydra/{name}.yaml"
        text = path.read_text().replace("models.convnet.convnet_tiny", "os.system")
        path.write_text(text + ("- model._target_=os.system\n" if name == "overrides" else ""))
    with pytest.raises(ValueError, match=r"model._target_='os.system' is refused"):
        train_here(f"resume={stopped}", folder="stopped")


def test_differences_name_the_key_and_both_values():
    before = {"seed": 0, "fork": "a", "peak_lr": {"step": 0.1}, "trainer": {"a": 1, "b": None}}
    now = {"seed": 1, "fork": "b", "peak_lr": {"step": 0.2}, "trainer": {"a": 1, "c": {}}}
    found = list(differences(OmegaConf.create(before), OmegaConf.create(now)))
    assert found == [("seed", 0, 1), ("trainer.c", "no such key", {})]
