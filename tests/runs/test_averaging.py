"""Means of the weights through the front door: keys, figures, a run that goes on, export."""

import json

import numpy as np
import oneflow as flow
import pytest

from runs.comparison.runs import read_run
from runs.comparison.tables import run_rows
from scripts.export import export
from tests.conftest import Run
from tests.helpers.continuing import HARD, SHORT, check_equal, evidence

# 20 steps; evaluations after 4, 8, ...; SWA takes the weights after 10, 13, 16 and 19
BOTH = (
    *(*SHORT, *HARD, "epochs=2"),
    *("trainer.ema_decay=0.9", "trainer.swa_start=50%", "trainer.swa_every=3"),
)


@pytest.mark.parametrize("step", [9, 15])
def test_a_stopped_run_goes_on_with_the_same_means(train_here, whole, step):
    """Before SWA has begun (after step 10), and between its second weights and its third."""
    cut = train_here(*BOTH, stop=step)
    train_here(f"resume={cut}")
    check_equal(whole(*BOTH), evidence(cut))


def test_a_fork_begins_its_means_anew(train_here):
    origin = train_here(*BOTH, "trainer.keep_last=9")
    forked = train_here(f"fork={origin}", "fork_at=12", folder="fork")
    state = json.loads((forked / "checkpoints/last/state.json").read_text())
    counts = {name: mean["count"] for name, mean in state["averages"].items()}
    assert counts == {"ema": 8, "swa": 3}  # after 13 to 20; after 13, 16 and 19


def test_means_of_a_compiled_step_are_those_of_a_plain_one(train_here):
    words = (*BOTH, "max_steps=12")
    plain, compiled = (
        evidence(train_here(*words, f"trainer.graph={graph}", folder=graph))
        for graph in ("false", "true")
    )
    assert plain["lines"] == compiled["lines"]
    assert "test/swa_loss" in plain["lines"][-1]


def test_what_a_run_with_means_tells(train_here, tmp_path, caplog):
    caplog.set_level("INFO")
    run = Run(train_here(*BOTH), None)
    summary, lines = run.summary, (run.folder / "metrics.jsonl").read_text().splitlines()
    assert {"test/ema_top1", "test/swa_top1"} <= run.hparam_metrics
    for name in ("ema", "swa"):
        assert summary[f"test_top1_{name}"] == json.loads(lines[-1])[f"test/{name}_top1"]
        assert summary[f"test_top5_{name}"] == json.loads(lines[-1])[f"test/{name}_top5"]
        assert summary[f"val_top1_last_{name}"] == json.loads(lines[-2])[f"val/{name}_top1"]
        told = f"test top-1 with {name.upper()} weights"
        assert f"{told} {summary[f'test_top1_{name}']:.2f} %" in caplog.text
    (row,) = run_rows([], [read_run(run.folder)])  # results.csv
    assert (row["test_top1_ema"], row["test_top1_swa"]) == (
        summary["test_top1_ema"],
        summary["test_top1_swa"],
    )
    saved = Run(train_here(*SHORT, "epochs=1", folder="plain"), None)
    assert not [key for key in saved.summary if "ema" in key or "swa" in key]
    with pytest.raises(ValueError, match=r"--average swa: .* has no such mean .* it has none"):
        export(saved.folder, tmp_path / "out", "swa")


def test_export_of_a_mean(train_here, tmp_path):
    cut = train_here(*BOTH, stop=13)  # evaluated after step 12, taken after 10 and 13
    export(cut, tmp_path / "ema", "ema")
    export(cut, tmp_path / "own")
    ema, own = flow.load(str(tmp_path / "ema")), flow.load(str(tmp_path / "own"))
    assert ema.keys() == own.keys()
    assert any(not np.array_equal(ema[name].numpy(), own[name].numpy()) for name in own)
    export(cut / "checkpoints/step_00000012", tmp_path / "swa", "swa")
    swa = flow.load(str(tmp_path / "swa"))
    assert {name: tensor.shape for name, tensor in swa.items()} == {
        name: tensor.shape for name, tensor in own.items()
    }
    with pytest.raises(ValueError, match="lies between two evaluations"):
        export(cut, tmp_path / "late", "swa")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trainer.ema_decay=1"], "trainer.ema_decay=1: expected null or a number, 0 < value < 1"),
        (["trainer.ema_decay=true"], "trainer.ema_decay=true: expected"),
        (["trainer.swa_start=soon"], "trainer.swa_start"),
        (["trainer.swa_start=41"], "trainer.swa_start=41: expected at most the run's 40 steps"),
        (["trainer.swa_start=1", "trainer.swa_every=0"], "trainer.swa_every"),
    ],
)
def test_values_that_are_refused(train_here, words, told):
    with pytest.raises(ValueError, match=told):
        train_here(*SHORT, *words)


def test_a_share_of_a_run_that_gets_longer_is_refused(train_here):
    words = (*SHORT, "epochs=2", "trainer.eval_every=5", "trainer.swa_start=50%", "max_steps=4")
    cut = train_here(*words)
    with pytest.raises(ValueError, match=r"trainer.swa_start=50% was 10 steps and would be 20"):
        train_here(f"resume={cut}", "epochs=4")
