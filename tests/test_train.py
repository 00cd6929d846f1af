"""`python train.py`: what a run leaves, and what a wrong argument says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from runs.command_line import run_command
from tests.conftest import ROOT, TINY
from train import train

SCHEDULERS = sorted(path.stem for path in (ROOT / "conf/scheduler").glob("*.yaml"))
OPTIMIZERS = sorted(path.stem for path in (ROOT / "conf/optimizer").glob("*.yaml"))


def command(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


def test_a_run_leaves_what_the_contract_says(tmp_path):
    result = command(*TINY, "scheduler=step", "seed=3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "learning rates as previewed: 20 of 20 steps" in result.stdout
    assert "tensorboard --logdir outputs" in result.stdout
    (folder,) = (tmp_path / "outputs").iterdir()
    assert folder.name.endswith("_step_seed3")
    present = {path.name for path in folder.iterdir()}
    assert {".hydra", "train.log", "metrics.jsonl", "checkpoints", "summary.json"} <= present
    assert sum(name.startswith("events.out.tfevents") for name in present) == 1
    kept = {path.name for path in (folder / "checkpoints").iterdir()}
    assert kept == {"last", "best", "step_00000010", "step_00000020"}
    summary = json.loads((folder / "summary.json").read_text())
    expected = {
        "status": "completed",
        "scheduler": "step",
        "model": "convnet_tiny",
        "dataset": "synthetic",
        "seed": 3,
        "epochs": 2,
        "steps": 20,
        "lr_check": {"steps": 20, "mismatches": 0},
    }
    assert expected.items() <= summary.items()
    figures = ("test_top1", "test_top5", "val_top1_last", "val_top1_best", "best_step", "seconds")
    assert all(isinstance(summary[key], int | float) for key in (*figures, "images_per_second"))
    assert summary["versions"]["oneflow"] == "0.9.0"
    assert "step     10  lr" in (folder / "train.log").read_text()
    assert result.stderr == ""  # no noise beside what the run tells


def test_tags_and_hparams_are_those_of_the_contract(run_training):
    run = run_training("trainer.decay_norm_and_bias=false", "trainer.log_every=7")
    curves = run.curves
    per_step = ("lr/group0", "lr/group1", "train/loss", "train/top1")
    assert all([step for step, _ in curves[tag]] == list(range(20)) for tag in per_step)
    assert all([step for step, _ in curves[f"val/{name}"]] == [10, 20] for name in ("loss", "top1"))
    assert all(len(curves[f"test/{name}"]) == 1 for name in ("loss", "top1", "top5"))
    assert "speed/images_per_second" in curves
    assert curves["test/top1"] == [(20, pytest.approx(run.summary["test_top1"]))]
    known = {"lr", "train", "val", "test", "speed"}
    assert {tag.split("/")[0] for tag in curves} == known  # nothing in front of the curves
    assert run.hparams["optimizer.lr"] == 0.1
    assert run.hparams["scheduler"] == "none"
    assert "max_steps" not in run.hparams  # null
    assert run.hparam_metrics == {"test/top1", "test/top5", "val/top1"}
    assert run.objective == run.summary["val_top1_last"]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_schedule_is_applied_as_previewed(run_training, scheduler):
    run = run_training(f"scheduler={scheduler}")
    assert run.summary["lr_check"] == {"steps": 20, "mismatches": 0}
    assert run.summary["scheduler"] == scheduler
    assert [step for step, _ in run.curves["lr/group0"]] == list(range(20))


def test_lr_check_finds_a_rate_that_was_not_planned(run_training, monkeypatch):
    from engine.trainer import Trainer

    def meddle(trainer, images, labels):
        if trainer.step == 5:
            trainer.optimizer.param_groups[0]["lr"] = 0.123
        original(trainer, images, labels)

    original = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", meddle)
    run = run_training("scheduler=cosine_annealing")
    assert run.summary["lr_check"] == {"steps": 20, "mismatches": 1}


def test_plateau_is_checked_against_the_metrics_of_the_run(run_training):
    run = run_training(
        "scheduler=reduce_on_plateau",
        "scheduler.patience=0",
        "scheduler.threshold=0.9",  # hardly ever an improvement: it must drop
        "trainer.eval_every=2",
    )
    assert run.summary["lr_check"] == {"steps": 20, "mismatches": 0}
    assert len({value for _, value in run.curves["lr/group0"]}) > 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("everywhere", ["true", "false"])
def test_every_optimizer_trains(run_training, optimizer, everywhere):
    run = run_training(
        f"optimizer={optimizer}", f"trainer.decay_norm_and_bias={everywhere}", "max_steps=3"
    )
    losses = [value for _, value in run.curves["train/loss"]]
    assert len(losses) == 3 and losses[0] != losses[-1]
    assert ("lr/group1" in run.curves) == (everywhere == "false")


def test_same_seed_same_bits(run_training):
    first, again = run_training("seed=1", folder="a"), run_training("seed=1", folder="b")
    other = run_training("seed=2", folder="c")
    schedule = run_training("seed=1", "scheduler=cosine_annealing", folder="d")
    losses = [run.curves["train/loss"] for run in (first, again, other, schedule)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0][0] == losses[3][0] and losses[0] != losses[3]


def test_max_steps_cuts_the_same_curve_short(run_training):
    whole = run_training("scheduler=cosine_annealing", folder="a")
    cut = run_training("scheduler=cosine_annealing", "max_steps=13", folder="b")
    assert cut.curves["train/loss"] == whole.curves["train/loss"][:13]
    assert cut.curves["lr/group0"] == whole.curves["lr/group0"][:13]
    assert [step for step, _ in cut.curves["val/top1"]] == [10, 13]


@pytest.mark.parametrize(("lint", "lines"), [("warn", 1), ("off", 0)])
def test_lint_tells_or_is_silent(run_training, caplog, lint, lines):
    half = ("scheduler=cosine_annealing", "scheduler.T_max=50%", "batch_size=4", "max_steps=1")
    run_training(*half, f"lint={lint}")  # 160 steps
    assert caplog.text.count("Lint: step 80: rises again after its minimum") == lines


def test_without_a_validation_split(run_training):
    run = run_training("dataset.val_size=0", "max_steps=3")
    assert run.objective is None
    assert run.summary["val_top1_last"] is run.summary["val_top1_best"] is None
    assert run.summary["test_top1"] >= 0


def test_multirun_makes_a_folder_for_each_job(tmp_path):
    overrides = ("scheduler=step,cosine_annealing", "seed=0,1", "epochs=1", "max_steps=2")
    result = command("-m", *TINY, *overrides, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (sweep,) = (tmp_path / "multirun").iterdir()
    names = sorted(path.name for path in sweep.iterdir() if "=" in path.name)
    assert names == [
        "scheduler=cosine_annealing,seed=0",
        "scheduler=cosine_annealing,seed=1",
        "scheduler=step,seed=0",
        "scheduler=step,seed=1",
    ]
    assert all((sweep / name / "summary.json").exists() for name in names)


def test_help_names_the_choices_and_gives_examples():
    result = command("--help")
    assert result.returncode == 0
    assert all(name in result.stdout for name in SCHEDULERS + OPTIMIZERS)
    assert result.stdout.count("python train.py") >= 3


MISTAKES = [
    (["scheduler=nope"], ["scheduler/nope", "cosine_annealing"]),
    (["scheduler=cosine_annealing", "scheduler.T_max=abc"], ["scheduler.T_max", "abc"]),
    (["scheduler=step", "scheduler.gama=0.1"], ["scheduler.gama", "Did you mean gamma?"]),
    (["dataset=cifar100", "dataset.root=/nowhere"], ["dataset.root", "/nowhere"]),
    (["epochs=-1"], ["epochs=-1", "at least 1"]),
    (["batch_size=0"], ["batch_size=0", "at least 1"]),
    (["scheduler=step", "scheduler.gamma=-1"], ["scheduler", "gamma"]),
    (["optimizer.lr=abc"], ["optimizer.lr='abc'"]),
    (["trainer.eval_every=x"], ["trainer.eval_every", "x"]),
    (["trainer.eval_every=0"], ["trainer.eval_every", "0"]),
    (["model._target_=models.nope"], ["model", "models.nope"]),
    (["+model.depth=3"], ["model", "depth"]),
    (["+optimizer.nope=3"], ["optimizer", "nope"]),
    (["dataset.val_size=0", "scheduler=reduce_on_plateau"], ["dataset.val_size=0", "Plateau"]),
    (["dataset.train_size=-3"], ["dataset.train_size", "-3"]),
    (["dataset.nope=3"], ["dataset.nope", "val_size"]),
    (
        ["scheduler=cosine_annealing", "scheduler.T_max=50%", "batch_size=4", "lint=error"],
        ["lint=error: step 80: rises again"],
    ),
    (["lint=nope"], ["lint='nope'", "warn, error or off"]),
    (["epochs=1,2"], ["epochs"]),
    (["epochs"], ["epochs"]),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *TINY, *arguments])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stop:
        run_command(train)
    sentence = stop.value.code  # what Python prints on stderr, with exit code 1
    assert sentence.startswith("error: ")
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("arguments", [case[0] for case in MISTAKES[:3]])
def test_a_mistake_prints_nothing_else(tmp_path, arguments):
    result = command(*TINY, *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is an NVIDIA driver here")
def test_cuda_without_a_gpu_is_one_sentence(tmp_path):
    result = command(*TINY, "device=cuda", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: device=cuda cannot be used: no NVIDIA driver")


def test_who_wants_the_traceback_gets_it(tmp_path):
    result = command(*TINY, "epochs=-1", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    "words", [("--cfg", "job"), ("-m", "scheduler=step,rex", "dataset=synthetic", "dry_run=true")]
)
def test_what_nobody_reads_ends_in_silence(words):
    """As in `... | head`, which closes its end."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as nobody:
        ended = subprocess.run(
            [sys.executable, "train.py", *words],
            cwd=ROOT,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (0, "")
