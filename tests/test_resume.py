"""A run that was stopped anywhere and resumed is the run that would have been, bit for bit."""

import json
import random
import signal
import time

import pytest

from tests.conftest import Run
from tests.continuing import (
    FEW,
    HARD,
    SCHEDULERS,
    SHORT,
    check_equal,
    evidence,
    finish,
    killed,
    overrides_for,
    start,
    wait_for,
)


def compare_stopped_with_whole(train_here, *overrides: str, stops: tuple[int, ...]) -> None:
    whole = train_here(*SHORT, *overrides, folder="whole")
    train_here(*SHORT, *overrides, folder="cut", stop=stops[0])
    for stop in (*stops[1:], None):
        cut = train_here(f"resume={whole.parent / 'cut'}", folder="cut", stop=stop)
        if stop is not None:
            summary = json.loads((cut / "summary.json").read_text())
            assert (summary["status"], summary["steps"]) == ("interrupted", stop)
    check_equal(evidence(whole), evidence(cut))


@pytest.mark.parametrize("scheduler", FEW)
def test_stopped_thrice_by_sigterm(train_here, scheduler):
    """The stops: inside an epoch, at an evaluation, and at an epoch's end."""
    compare_stopped_with_whole(train_here, *overrides_for(scheduler), stops=(5, 16, 30))


@pytest.mark.full
@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - set(FEW)))
def test_stopped_thrice_by_sigterm_under_every_schedule(train_here, scheduler):
    compare_stopped_with_whole(train_here, *overrides_for(scheduler), stops=(5, 16, 30))


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
def test_dropout_and_a_stateful_optimizer(train_here, optimizer):
    net = ("model._target_=tests.nets.with_dropout", "allow_targets=[tests.nets]")
    whole = train_here(*SHORT, f"optimizer={optimizer}", *net, folder="whole")
    train_here(*SHORT, f"optimizer={optimizer}", *net, folder="cut", stop=13)
    cut = train_here(f"resume={whole.parent / 'cut'}", net[1], folder="cut")
    check_equal(evidence(whole), evidence(cut))
    other = train_here(*SHORT, f"optimizer={optimizer}", *net, "seed=1", folder="other")
    assert evidence(other)["curves"] != evidence(whole)["curves"]


def test_without_a_validation_split(train_here):
    compare_stopped_with_whole(train_here, "dataset.val_size=0", "max_steps=9", stops=(4,))


def compare_killed_with_whole(train_here, scheduler: str, kills: tuple[int, ...]) -> None:
    overrides = (*SHORT, *overrides_for(scheduler))
    whole = train_here(*overrides, folder="whole")
    cut = whole.parent / "cut"
    killed(kills[0], *overrides, f"hydra.run.dir={cut}")
    for step in kills[1:]:
        killed(step, f"resume={cut}")
    train_here(f"resume={cut}", folder="cut")
    check_equal(evidence(whole), evidence(cut))
    assert evidence(cut)["summary"]["lr_check"] == {"steps": 40, "mismatches": 0}


def test_killed_again_and_again(train_here):
    """Checkpoints are every 3 steps, evaluations every 4. The kills come:

    before the first checkpoint; at 21 after an evaluation that the newest checkpoint does not have;
    at 34 when nothing but the checkpoint has made what is logged safe; and at 38 after a checkpoint
    that was written with an evaluation.
    """
    compare_killed_with_whole(train_here, "reduce_on_plateau", (2, 21, 34, 38))


@pytest.mark.full
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_killed_thrice_at_random_under_every_schedule(train_here, scheduler):
    steps = random.Random(scheduler).sample(range(1, 40), 3)
    compare_killed_with_whole(train_here, scheduler, tuple(sorted(steps)))


@pytest.mark.full
def test_a_hundred_kills_at_random_moments(train_here, caplog):
    """Saving every 2 steps: each kill leaves a run that goes on, to the very same end."""
    overrides = (*SHORT, "trainer.checkpoint_every=2", "epochs=40", "trainer.eval_every=50")
    whole = train_here(*overrides, folder="whole")
    cut = train_here(*overrides, "max_steps=1", folder="cut")
    moments, kills = random.Random(0), 0
    for _ in range(100):
        log = (cut / "train.log").stat().st_size if (cut / "train.log").exists() else 0
        process = start(f"resume={cut}", "max_steps=null", cwd=cut.parent)
        wait_for(
            lambda log=log: (
                (cut / "train.log").exists() and (cut / "train.log").stat().st_size > log
            )
        )
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        kills += finish(process)[0] == -signal.SIGKILL
    train_here(f"resume={cut}", "max_steps=null", folder="cut")
    assert "damaged" not in caplog.text
    assert kills >= 50
    first, second = evidence(whole), evidence(cut)
    assert first["tensors"] == second["tensors"]
    for tag in ("train/loss", "lr/group0", "train/top1"):
        assert first["curves"][tag] == second["curves"][tag]


def test_a_resumed_run_may_be_longer_where_the_schedule_stays(train_here):
    step = ("scheduler=step", "scheduler.step_size=1ep", *HARD)
    whole = train_here(*SHORT, *step, folder="whole")
    train_here(*SHORT, *step, "epochs=2", folder="cut")
    cut = train_here(f"resume={whole.parent / 'cut'}", "epochs=4", folder="cut")
    first, second = evidence(whole), evidence(cut)
    assert second.pop("speed") == sorted([*first.pop("speed"), 19])  # told at its first end too
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


def test_a_damaged_checkpoint_is_passed_over(stopped, train_here, caplog):
    whole = train_here(*SHORT, "scheduler=cosine_annealing", folder="whole")
    path = stopped / "checkpoints/step_00000006/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    train_here(f"resume={stopped}", folder="stopped")
    assert "model.safetensors is not as it was written. Going back to step 4." in caplog.text
    assert evidence(whole)["tensors"] == evidence(stopped)["tensors"]
    assert evidence(whole)["curves"] == evidence(stopped)["curves"]


def test_a_complete_run_has_nothing_left_to_do(train_here, caplog):
    caplog.set_level("INFO")
    run = train_here(*SHORT, "max_steps=3")
    before = (run / "summary.json").read_bytes()
    train_here(f"resume={run}")
    assert "nothing is left to do" in caplog.text
    assert (run / "summary.json").read_bytes() == before


def test_what_is_no_run_folder_is_told(tmp_path, train_here):
    with pytest.raises(FileNotFoundError, match="There is no run folder"):
        train_here(f"resume={tmp_path / 'nowhere'}")
    with pytest.raises(FileNotFoundError, match=r"is not a run folder: it has no .hydra"):
        train_here(f"resume={tmp_path}")
    (tmp_path / ".hydra").mkdir()
    path = tmp_path / ".hydra/overrides.yaml"
    for text in (
        "{",
        "a: 1",
        "[1]",
        "[--config-dir=x]",
        "[hydra.job.name=x]",
        "[+hydra/launcher=x]",
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match="is not the list of a run's overrides"):
            train_here(f"resume={tmp_path}")


def test_a_target_of_the_run_folder_is_not_called_unseen(stopped, train_here):
    for name in ("config", "overrides"):
        path = stopped / f".hydra/{name}.yaml"
        text = path.read_text().replace("models.convnet.convnet_tiny", "os.system")
        path.write_text(text + ("- model._target_=os.system\n" if name == "overrides" else ""))
    with pytest.raises(ValueError, match=r"model._target_='os.system' is refused"):
        train_here(f"resume={stopped}", folder="stopped")
