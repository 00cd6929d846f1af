"""Means of the weights through the front door: figures, forks, compiled steps, export."""

import json

import numpy as np
import oneflow as flow
import pytest

from runs.comparison.runs import read_run
from runs.comparison.tables import run_rows
from scripts.export import export
from tests.conftest import Run
from tests.helpers.continuing import EVERYTHING, SHORT, evidence


@pytest.fixture
def finished(whole):
    """A finished run of 20 steps with means; SWA takes the weights after 10, 13, 16 and 19."""
    return whole(*EVERYTHING)


def test_a_fork_begins_its_means_anew(finished, train_here):
    forked = train_here(f"fork={finished}", "fork_at=12", EVERYTHING[-1], folder="fork")
    state = json.loads((forked / "checkpoints/last/state.json").read_text())
    counts = {name: mean["count"] for name, mean in state["averages"].items()}
    assert counts == {"ema": 8, "swa": 3}  # after 13 to 20; after 13, 16 and 19


@pytest.mark.full
def test_means_of_a_compiled_step_are_those_of_a_plain_one(train_here):
    words = (*SHORT, "epochs=2", "trainer.ema_decay=0.9", "trainer.swa_start=10")
    plain, compiled = (
        evidence(train_here(*words, f"trainer.graph={way}", folder=way))["lines"]
        for way in ("false", "true")
    )
    assert plain == compiled and "test/swa_loss" in plain[-1]


def test_figures_of_a_run_with_means(finished):
    run = Run(finished, None)
    summary, lines = run.summary, (finished / "metrics.jsonl").read_text().splitlines()
    test, validation = (json.loads(line) for line in lines[:-3:-1])
    assert {"test/ema_top1", "test/swa_top1"} <= run.hparams[1]
    (row,) = run_rows([], [read_run(finished)])  # results.csv
    for name in ("ema", "swa"):
        assert summary[f"test_top1_{name}"] == test[f"test/{name}_top1"]
        assert summary[f"test_top5_{name}"] == test[f"test/{name}_top5"]
        assert summary[f"val_top1_last_{name}"] == validation[f"val/{name}_top1"]
        assert row[f"test_top1_{name}"] == summary[f"test_top1_{name}"]


def test_export_of_a_mean(finished, stopped_once, tmp_path):
    sources = {"own": None, "ema": "ema", "swa": "swa"}
    read = {}
    for name, average in sources.items():
        export(finished / "checkpoints/step_00000012", tmp_path / name, average)
        read[name] = flow.load(str(tmp_path / name))
    own = read.pop("own")
    for mean in read.values():
        assert {k: v.shape for k, v in mean.items()} == {k: v.shape for k, v in own.items()}
        assert any(not np.array_equal(mean[name].numpy(), own[name].numpy()) for name in own)
    for source, sentence in (
        (finished / "checkpoints/step_00000015", "was saved between two evaluations"),
        (stopped_once, "expected an average that .* has: it has none"),
    ):
        with pytest.raises(ValueError, match=sentence):
            export(source, tmp_path / "none", "swa")
