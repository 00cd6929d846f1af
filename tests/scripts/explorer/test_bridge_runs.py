"""The curves of run folders: whole, cut off, damaged, a stranger's, and several of a multirun."""

import json
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf

from schedulers import Horizon, trace_lr
from scripts.explorer.run_curves import read_runs
from tests.conftest import TINY
from tests.helpers.sandbox import outcome


def test_a_finished_run_has_everything(train_here):
    folder = train_here(*TINY, "scheduler=step", "trainer.eval_every=5")
    (run,) = read_runs(folder)
    assert (run.label, run.status, run.problems) == ("run", "completed", [])
    assert (run.base_lr, run.horizon) == (0.1, Horizon(20, 10))
    config = OmegaConf.load(folder / ".hydra/config.yaml")
    assert run.planned == trace_lr(config.scheduler, [0.1], Horizon(20, 10))[0]
    assert run.applied == [(step, float(np.float32(lr))) for step, lr in enumerate(run.planned)]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert run.evaluations == [(line["step"], line["val/top1"]) for line in lines[:4]]
    assert [step for step, _ in run.evaluations] == [5, 10, 15, 20]


def test_a_run_that_was_cut_off_shows_what_it_has(stopped):
    (run,) = read_runs(stopped)
    assert run.status == "interrupted"
    assert len(run.planned) == 40 and len(run.applied) == 6


def test_what_cannot_be_read_is_a_sentence_and_the_rest_is_shown(stopped):
    for events in stopped.glob("events.out.*"):
        events.unlink()
    (stopped / "metrics.jsonl").write_text('{"step": 4, "val/top1": 1.0}\n{"step": 6, "val')
    (stopped / "summary.json").write_text('{"status": "<b>"}')
    (run,) = read_runs(stopped)
    assert len(run.planned) == 40 and run.applied == run.evaluations == []
    assert len(run.problems) == 3 and not any("\n" in sentence for sentence in run.problems)


@pytest.mark.parametrize(
    ("key", "value", "about"),
    [
        ("scheduler._target_", "os.system", "scheduler._target_='os.system'"),
        ("epochs", 10_000_000, "at most 2000000 are drawn"),
        ("batch_size", 0, "batch_size=0: expected an integer of at least 1"),
        ("optimizer", None, ".hydra/config.yaml cannot be used: "),
        ("scheduler.T_max", "${oc.env:HOME}", "scheduler.T_max="),
    ],
)
def test_a_config_of_a_stranger_is_a_sentence(stopped, tmp_path, key, value, about):
    path = stopped / ".hydra/config.yaml"
    config = OmegaConf.load(path)
    OmegaConf.update(config, key, value)
    OmegaConf.save(config, path)
    read_runs(stopped)  # imports what reading may import
    (run,) = outcome(tmp_path, lambda: read_runs(stopped))
    assert run.planned == [] and run.horizon is None
    assert len(run.problems) == 1 and about in run.problems[0]
    assert len(run.applied) == 6


def test_the_runs_of_a_multirun_come_in_the_order_of_their_jobs(stopped, tmp_path):
    for name in ("10_step_seed0", "2_step_seed0"):
        shutil.copytree(stopped, tmp_path / "multi" / name)
    labels = [run.label for run in read_runs(tmp_path / "multi")]
    assert labels == ["2_step_seed0", "10_step_seed0"]


@pytest.mark.parametrize("name", ["nothing", "a\0b", "x" * 5000, "."])
def test_a_folder_that_is_none_is_a_sentence(tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot be opened: |holds no run folder") as caught:
        read_runs(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
