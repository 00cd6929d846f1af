"""`python train.py`: what a run leaves, and the sentence for a wrong argument."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from oneflow.nn.optimizer.lr_scheduler import LRScheduler

from runs.build import build_horizon, check_schedule
from tests.conftest import ROOT, TINY, compose_config
from tests.helpers.continuing import SCHEDULERS, finish, start

OPTIMIZERS = sorted(path.stem for path in (ROOT / "conf/optimizer").glob("*.yaml"))


def test_a_run_leaves_what_the_contract_names(tmp_path):
    code, out, error = finish(start(*TINY, "scheduler=step", "seed=3", cwd=tmp_path))
    assert (code, error) == (0, "")
    assert "learning rates as previewed: 20 of 20 steps" in out
    assert "tensorboard --logdir outputs" in out
    (folder,) = (tmp_path / "outputs").iterdir()
    assert folder.name.endswith("_step_seed3")
    present = {path.name for path in folder.iterdir()}
    assert {".hydra", "train.log", "metrics.jsonl", "checkpoints", "summary.json"} <= present
    assert sum(name.startswith("events.out.tfevents") for name in present) == 1
    kept = {path.name for path in (folder / "checkpoints").iterdir()}
    assert kept == {"last", "best", "step_00000010", "step_00000020"}
    summary = json.loads((folder / "summary.json").read_text())
    expected = {"status": "completed", "scheduler": "step", "model": "convnet_tiny", "seed": 3}
    expected |= {"dataset": "synthetic", "epochs": 2, "steps": 20}
    expected["lr_check"] = {"steps": 20, "mismatches": 0}
    assert expected.items() <= summary.items()
    figures = ("test_top1", "test_top5", "val_top1_last", "val_top1_best", "best_step", "seconds")
    assert all(isinstance(summary[key], int | float) for key in (*figures, "images_per_second"))
    assert summary["versions"]["oneflow"] == "0.9.0"
    assert "step     10  lr" in (folder / "train.log").read_text()


def test_tags_and_hparams_are_those_of_the_contract(run_training):
    run = run_training("trainer.decay_norm_and_bias=false", "trainer.log_every=7")
    curves = run.curves
    per_step = ("lr/group0", "lr/group1", "train/loss", "train/top1")
    assert all([step for step, _ in curves[tag]] == list(range(20)) for tag in per_step)
    assert all([step for step, _ in curves[f"val/{name}"]] == [10, 20] for name in ("loss", "top1"))
    assert all(len(curves[f"test/{name}"]) == 1 for name in ("loss", "top1", "top5"))
    assert curves["test/top1"] == [(20, pytest.approx(run.summary["test_top1"]))]
    known = {"lr", "train", "val", "test", "speed"}
    assert {tag.split("/")[0] for tag in curves} == known  # nothing in front of the curves
    settings, figures = run.hparams
    assert (settings["optimizer.lr"], settings["scheduler"]) == (0.1, "none")
    assert "max_steps" not in settings  # null
    assert figures == {"test/top1", "test/top5", "val/top1"}
    assert run.objective == run.summary["val_top1_last"]


def combinations():
    """Each optimizer with a schedule of its own, and every other schedule."""
    for number, scheduler in enumerate(SCHEDULERS):
        case = (scheduler, OPTIMIZERS[number % len(OPTIMIZERS)], ("true", "false")[number % 2])
        yield pytest.param(*case, marks=[pytest.mark.full] * (number >= len(OPTIMIZERS)))


@pytest.mark.parametrize(("scheduler", "optimizer", "everywhere"), [*combinations()])
def test_every_optimizer_applies_the_schedule_as_previewed(
    run_training, scheduler, optimizer, everywhere
):
    words = (f"scheduler={scheduler}", f"optimizer={optimizer}", "dataset.val_size=20")
    decay = f"trainer.decay_norm_and_bias={everywhere}"
    run = run_training(*words, decay, "dataset.test_size=20", "max_steps=6")
    assert run.summary["lr_check"] == {"steps": 6, "mismatches": 0}
    assert run.summary["scheduler"] == scheduler
    curves = run.curves
    assert [step for step, _ in curves["lr/group0"]] == list(range(6))
    assert ("lr/group1" in curves) == (everywhere == "false")
    assert len({loss for _, loss in curves["train/loss"]}) == 6


class Restless(LRScheduler):
    """A schedule that is another one, at step 5, for each object of it."""

    numbers = itertools.count(1)

    def __init__(self, optimizer):
        self.number = next(self.numbers)
        super().__init__(optimizer)

    def get_lr(self, base_lr, step):
        return base_lr * (self.number if step == 5 else 1)


def test_a_rate_that_was_not_previewed_is_found_and_no_split_has_no_objective(run_training):
    words = ("scheduler._target_=tests.test_train.Restless", "dataset.val_size=0")
    run = run_training(*words, "max_steps=7")
    assert run.summary["lr_check"] == {"steps": 7, "mismatches": 1}
    assert run.objective is run.summary["val_top1_last"] is run.summary["val_top1_best"] is None


def test_same_seed_same_bits_and_max_steps_cuts_the_same_curve_short(run_training):
    runs = {
        name: run_training(*words, folder=name)
        for name, words in {
            "first": ("seed=1", "max_steps=13"),
            "again": ("seed=1", "max_steps=15"),
            "other": ("seed=2", "max_steps=2"),
            "schedule": ("seed=1", "max_steps=3", "scheduler=warmup"),
        }.items()
    }
    losses = {name: run.curves["train/loss"] for name, run in runs.items()}
    assert losses["first"] == losses["again"][:13]
    assert losses["other"][0] != losses["first"][0] == losses["schedule"][0]
    assert losses["first"][1] != losses["schedule"][1]
    assert [step for step, _ in runs["first"].curves["val/top1"]] == [10, 13]


HALF = ("scheduler=cosine_annealing", "scheduler.T_max=50%", "batch_size=4")  # of 160 steps


@pytest.mark.parametrize(("lint", "lines"), [("warn", 1), ("off", 0)])
def test_lint_warns_or_is_silent(tmp_path, caplog, lint, lines):
    config = compose_config(*TINY, *HALF, f"lint={lint}", folder=tmp_path)
    check_schedule(config, build_horizon(config))
    assert caplog.text.count("Lint: step 80: rises again after its minimum") == lines


def test_help_names_the_choices_and_gives_examples(run_here, capsys):
    with pytest.raises(SystemExit):
        run_here("--help")
    text = capsys.readouterr().out
    assert all(name in text for name in SCHEDULERS + OPTIMIZERS)
    assert text.count("python train.py") >= 3


MISTAKES = [
    (["scheduler=nope"], ["scheduler/nope", "cosine_annealing"]),
    (["scheduler=cosine_annealing", "scheduler.T_max=abc"], ["scheduler.T_max", "abc"]),
    (["scheduler=step", "scheduler.gama=0.1"], ["scheduler.gama", "Did you mean gamma?"]),
    (["dataset=cifar100", "dataset.root=/nowhere"], ["dataset.root", "/nowhere"]),
    (["epochs=-1"], ["epochs=-1", "at least 1"]),
    (["scheduler=step", "scheduler.gamma=-1"], ["scheduler", "gamma"]),
    (["trainer.eval_every=0"], ["trainer.eval_every", "0"]),
    (["trainer.swa_start=41"], ["trainer.swa_start=41: expected at most the run's 20 steps"]),
    (["model._target_=models.nope"], ["model", "models.nope"]),
    (["+optimizer.nope=3"], ["optimizer", "nope"]),
    (["dataset.val_size=0", "scheduler=reduce_on_plateau"], ["dataset.val_size=0", "Plateau"]),
    (["dataset.train_size=-3"], ["dataset.train_size", "-3"]),
    (["dataset.nope=3"], ["dataset.nope", "val_size"]),
    (["dataset=cifar100", "augment.cutout=-1"], ["augment.cutout=-1: expected null or an integer"]),
    (["+augment.blur=3"], ["augment.blur=3: expected one of the keys crop_padding, "]),
    ([*HALF, "lint=error"], ["lint=error: step 80: rises again"]),
    (["epochs=1,2"], ["epochs"]),
    (["outputs/run"], ["outputs/run", "expected KEY=VALUE, as epochs=10 or preview.run=FOLDER."]),
    (["dataset.augment.cutout=8"], ["dataset.augment: this key is now augment."]),
]
if not Path("/proc/driver/nvidia").exists():
    MISTAKES.append((["device=cuda"], ["device=cuda cannot be used: no NVIDIA driver"]))


@pytest.mark.parametrize(("arguments", "words"), MISTAKES)
def test_a_mistake_is_one_sentence(run_here, arguments, words):
    with pytest.raises(SystemExit) as stop:
        run_here(*TINY, *arguments)
    sentence = stop.value.code  # what Python prints on stderr, with exit code 1
    assert sentence.startswith("error: ")
    for word in words:
        assert word in sentence


def test_the_traceback_on_request(run_here, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="epochs=-1"):
        run_here(*TINY, "epochs=-1")


SWEEP = ("-m", "scheduler=step,rex", "dataset=synthetic", "dry_run=true")


@pytest.mark.parametrize("words", [("--cfg", "job"), pytest.param(SWEEP, marks=pytest.mark.full)])
def test_an_output_that_is_no_longer_read_ends_in_silence(words):
    """As in `... | head`, which closes its end."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(ROOT / "train.py"), *words]
    with open(write, "w") as closed:
        ended = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, timeout=300)
    assert (ended.returncode, ended.stderr) == (0, b"")
