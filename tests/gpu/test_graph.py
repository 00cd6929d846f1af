"""What of `trainer.graph` and `trainer.amp` only a GPU can show."""

import json

import numpy as np
import pytest

from engine.process.runtime import cuda_problem
from tests.conftest import Run
from tests.helpers.continuing import evidence

PROBLEM = cuda_problem()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=f"no usable GPU: {PROBLEM}")

# 42 steps in 2 epochs of 20 batches of 16 and one of 4 images
SMALL = (
    "dataset=synthetic",
    "dataset.train_size=324",
    "dataset.val_size=100",
    "dataset.test_size=100",
    "epochs=2",
    "batch_size=16",
    "device=cuda",
    "scheduler=warmup",
)


def losses(folder) -> np.ndarray:
    return np.array(evidence(folder)["curves"]["train/loss"])[:, 1]


def test_a_graph_trains_as_eager_steps_do(train_here):
    eager = train_here(*SMALL, folder="eager")
    graph = train_here(*SMALL, "trainer.graph=true", folder="graph")
    np.testing.assert_allclose(losses(graph), losses(eager), rtol=1e-3)
    assert Run(graph, None).summary["lr_check"] == {"steps": 42, "mismatches": 0}


def test_mixed_precision_trains_nearly_the_same(train_here):
    eager = train_here(*SMALL, folder="eager")
    mixed = train_here(*SMALL, "trainer.amp=true", folder="mixed")
    difference = np.abs(losses(mixed) - losses(eager))
    assert difference[0] < 0.05
    assert difference.max() > 0  # else nothing was computed in half precision
    assert Run(mixed, None).summary["lr_check"] == {"steps": 42, "mismatches": 0}
    state = json.loads((mixed / "checkpoints/last/state.json").read_text())["update"]
    assert set(state) == {"LossScale", "GoodStepCounter"}


def test_mixed_precision_is_resumed_bit_for_bit(train_here):
    settings = (*SMALL, "trainer.amp=true")
    cut = train_here(*settings, stop=25, folder="cut")
    train_here(f"resume={cut}", folder="cut")
    whole = train_here(*settings, folder="whole")
    np.testing.assert_array_equal(losses(cut), losses(whole))
