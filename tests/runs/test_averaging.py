"""Means of the weights through the front door: keys, figures, a run that goes on, export."""

import json

import numpy as np
import oneflow as flow
import pytest

from runs.comparison.runs import read_run
from runs.comparison.tables import run_rows
from scripts.export import export
from tests.conftest import Run, train_in
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with means, and what it printed."""
    return train_in(tmp_path_factory.mktemp("finished"), *BOTH, "trainer.keep_last=9")


def test_a_fork_begins_its_means_anew(finished, train_here):
    forked = train_here(f"fork={finished}", "fork_at=12", folder="fork")
    state = json.loads((forked / "checkpoints/last/state.json").read_text())
    counts = {name: mean["count"] for name, mean in state["averages"].items()}
    assert counts == {"ema": 8, "swa": 3}  # after 13 to 20; after 13, 16 and 19


def test_means_of_a_compiled_step_are_those_of_a_plain_one(finished, train_here):
    compiled = train_here(*BOTH, "trainer.graph=true", "trainer.keep_last=9")
    plain, compiled = evidence(finished), evidence(compiled)
    assert plain["lines"] == compiled["lines"]
    assert "test/swa_loss" in plain["lines"][-1]


def test_figures_of_a_run_with_means(finished):
    run = Run(finished, None)
    summary, lines = run.summary, (finished / "metrics.jsonl").read_text().splitlines()
    test, validation = (json.loads(line) for line in lines[:-3:-1])
    assert {"test/ema_top1", "test/swa_top1"} <= run.hparam_metrics
    (row,) = run_rows([], [read_run(finished)])  # results.csv
    for name in ("ema", "swa"):
        assert summary[f"test_top1_{name}"] == test[f"test/{name}_top1"]
        assert summary[f"test_top5_{name}"] == test[f"test/{name}_top5"]
        assert summary[f"val_top1_last_{name}"] == validation[f"val/{name}_top1"]
        assert row[f"test_top1_{name}"] == summary[f"test_top1_{name}"]


def test_a_run_without_means(train_here, tmp_path, caplog):
    caplog.set_level("INFO")
    plain = train_here(*SHORT, "epochs=1")
    assert not [key for key in Run(plain, None).summary if "ema" in key or "swa" in key]
    assert "weights" not in caplog.text
    with pytest.raises(ValueError, match=r"--average swa: .* has no such mean .* it has none"):
        export(plain, tmp_path / "out", "swa")


def test_export_of_a_mean(train_here, tmp_path, caplog):
    caplog.set_level("INFO")
    cut = train_here(*BOTH, "max_steps=13")  # evaluated after step 12 and 13, taken after 10 and 13
    assert "test top-1 with EMA weights" in caplog.text
    checkpoints = cut / "checkpoints"
    read = {}
    for name, source, average in (
        ("own", cut, None),
        ("ema", cut, "ema"),
        ("swa", checkpoints / "step_00000012", "swa"),
    ):
        export(source, tmp_path / name, average)
        read[name] = flow.load(str(tmp_path / name))
    own = read["own"]
    for mean in (read["ema"], read["swa"]):
        assert {k: v.shape for k, v in mean.items()} == {k: v.shape for k, v in own.items()}
        assert any(not np.array_equal(mean[name].numpy(), own[name].numpy()) for name in own)
    late = train_here(*BOTH, stop=13, folder="late")
    with pytest.raises(ValueError, match="lies between two evaluations"):
        export(late, tmp_path / "late_swa", "swa")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trainer.ema_decay=1"], "trainer.ema_decay=1: expected null or a number, 0 < value < 1"),
        (["trainer.ema_decay=true"], "trainer.ema_decay=true: expected"),
        (["trainer.swa_start=soon"], "trainer.swa_start"),
        (["trainer.swa_start=41"], "trainer.swa_start=41: expected at most the run's 40 steps"),
        (["trainer.swa_start=1", "trainer.swa_every=0"], "trainer.swa_every"),
    ],
)
def test_values_that_are_refused(train_here, words, sentence):
    with pytest.raises(ValueError, match=sentence):
        train_here(*SHORT, *words)


def test_a_share_of_a_run_that_gets_longer_is_refused(train_here):
    words = (*SHORT, "epochs=2", "trainer.eval_every=5", "trainer.swa_start=50%", "max_steps=4")
    cut = train_here(*words)
    with pytest.raises(ValueError, match=r"trainer.swa_start=50% was 10 steps and would be 20"):
        train_here(f"resume={cut}", "epochs=4")
