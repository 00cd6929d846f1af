"""What `test_graph` runs in a process of its own: once compiled, a graph stays in its process."""

import json

import numpy as np
import oneflow as flow
import pytest
from omegaconf import OmegaConf

from engine import graph as engine_graph
from engine.graph import GraphUpdate
from schedulers import Horizon, build_scheduler, trace_lr
from tests.conftest import ROOT, TINY, Run
from tests.engine.test_finite import Spoiled, check_same, model_with_norm, tensors_of, weights
from tests.engine.test_trainer import build_trainer, fit
from tests.helpers.continuing import SCHEDULERS, check_equal, evidence

NET = ("model._target_=tests.helpers.nets.with_norm", "allow_targets=[tests.helpers.nets]")
# 14 steps in 2 epochs of 6 batches of 8 and one of 4 images
SMALL = (*TINY, *NET, "dataset.train_size=52", "batch_size=8", "scheduler=warmup")
HARD = (
    "trainer.decay_norm_and_bias=false",
    "trainer.clip_grad_norm=0.5",
    "trainer.label_smoothing=0.1",
    "trainer.eval_every=4",
)
GRAPH = "trainer.graph=true"
BASE_LRS = (0.1, 0.03)


class Probe(flow.nn.Module):
    """A mean logit whose gradient is 1 for each of two parameters, whatever they are."""

    def __init__(self):
        super().__init__()
        self.matrix = flow.nn.Parameter(flow.zeros(1, 1))
        self.vector = flow.nn.Parameter(flow.zeros(1))

    def forward(self, images):
        return flow.matmul(images, self.matrix) + self.vector


class Mean(flow.nn.Module):
    def forward(self, logits, labels):
        return logits.mean()


@pytest.fixture(scope="module")
def probe():
    """The update of a probe, and its two groups of different rates: compiled once for all."""
    model = Probe()
    groups = [{"params": [model.matrix]}, {"params": [model.vector], "lr": BASE_LRS[1]}]
    optimizer = flow.optim.SGD(groups, lr=BASE_LRS[0])
    return GraphUpdate(model, Mean(), optimizer, None, False, amp=False, stochastic=False)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_weights_prove_the_rate(probe, name):
    """Plain SGD moves a weight from 0 to -rate x 1: compared with equality, at every step."""
    node = OmegaConf.load(ROOT / f"conf/scheduler/{name}.yaml")
    horizon = Horizon(total_steps=40, steps_per_epoch=10)
    for group, base_lr in zip(probe.optimizer.param_groups, BASE_LRS, strict=True):
        group["lr"] = base_lr
    scheduler = build_scheduler(node, probe.optimizer, horizon)
    batch = flow.ones(2, 1), flow.zeros(2, dtype=flow.int64)
    metrics = dict.fromkeys(range(2, 40, 2), 1.0)  # it gets no better: the plateau drops
    plateau = name == "reduce_on_plateau"
    applied = []
    for step in range(horizon.total_steps):
        if plateau and step in metrics:
            scheduler.step(metrics[step])
        with flow.no_grad():
            for weight in probe.model.parameters():
                weight.zero_()
        probe(*batch)
        applied.append([-weight.numpy().item() for weight in probe.model.parameters()])
        if not plateau:
            scheduler.step()
    planned = np.transpose(trace_lr(node, BASE_LRS, horizon, metrics if plateau else None))
    np.testing.assert_array_equal(np.float32(applied), np.float32(planned))
    assert name in ("constant", "none") or len(set(map(tuple, applied))) > 1


def compare(train_here, *overrides: str) -> tuple[float, float]:
    """The largest differences between an eager run and one by graphs: weights, losses."""
    ways = ("trainer.graph=false", GRAPH)
    found = [evidence(train_here(*SMALL, *overrides, way, folder=way)) for way in ways]
    assert found[0]["tensors"].keys() == found[1]["tensors"].keys()
    pairs = [(found[0]["tensors"][key], found[1]["tensors"][key]) for key in found[0]["tensors"]]
    arrays = [[np.frombuffer(data, kind) for kind, _, data in pair] for pair in pairs]
    loss = [np.array(run["curves"]["train/loss"]) for run in found]
    return max(np.abs(a - b).max() for a, b in arrays), np.abs(loss[0] - loss[1]).max()


EXACT = {"sgd", "rmsprop", "adagrad", "adadelta"}


def check_against_eager(train_here, optimizer, *overrides):
    weight, loss = compare(train_here, f"optimizer={optimizer}", *overrides)
    print(f"{optimizer}: weights {weight:.1e}, loss {loss:.1e}")
    limit = 0 if optimizer in EXACT else 2e-5
    assert max(weight, loss) <= limit


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_same_run_as_the_eager_one(train_here, optimizer):
    """Two groups, clipped, smoothed, evaluated inside an epoch, a last batch of another size."""
    check_against_eager(train_here, optimizer, *HARD)


@pytest.mark.full
@pytest.mark.parametrize(
    "optimizer", ["sgd", "adam", "adamw", "lamb", "rmsprop", "adagrad", "adadelta"]
)
@pytest.mark.parametrize("hard", [(), HARD], ids=["plain", "hard"])
def test_the_same_run_under_every_optimizer(train_here, optimizer, hard):
    check_against_eager(train_here, optimizer, *hard)


@pytest.mark.parametrize(("before", "after"), [("true", "false"), ("false", "true")])
def test_a_fork_may_change_between_eager_and_graph(train_here, before, after):
    """Weights and momentum go over: with SGD nobody can tell afterwards which it was."""
    keep = "trainer.checkpoint_every=5"
    whole = train_here(*SMALL, keep, f"trainer.graph={before}", "trainer.keep_last=9")
    forked = (f"fork={whole}", "fork_at=5", f"trainer.graph={after}", NET[1])
    fork = evidence(train_here(*forked, folder="fork"))
    for key, content in evidence(whole)["tensors"].items():
        assert key == "optimizer:applied" or fork["tensors"][key] == content, key


@pytest.mark.parametrize("log_every", [20, 1])
def test_the_run_stops_before_the_weights_are_spoiled(tmp_path, log_every):
    settings = {"stop_step": 9, "checkpoint_every": 2, "eval_every": 100, "log_every": log_every}
    trainer = build_trainer(tmp_path, train=Spoiled({4: float("inf")}), graph=True, **settings)
    with pytest.raises(FloatingPointError, match=r"loss of step 4 is nan at learning rate 0.00625"):
        fit(trainer)
    whole = fit(build_trainer(tmp_path / "whole", **settings | {"stop_step": 4}))
    check_same(weights(trainer), weights(whole))
    check_same(tensors_of(trainer.optimizer), tensors_of(whole.optimizer))
    assert (trainer.step, trainer.applied) == (4, whole.applied)


def test_bad_updates_are_skipped_as_in_eager_runs(tmp_path):
    bad = {2: float("nan"), 3: float("inf"), 6: float("nan")}
    trainers = [
        fit(
            build_trainer(
                tmp_path / str(graph),
                train=Spoiled(bad),
                model=model_with_norm(),
                stop_step=9,
                on_nonfinite="skip",
                graph=graph,
            )
        )
        for graph in (False, True)
    ]
    check_same(*map(weights, trainers))
    check_same(*(tensors_of(trainer.optimizer) for trainer in trainers))
    assert [trainer.skipped for trainer in trainers] == [3, 3]
    assert trainers[1].update.updates == 6


@pytest.fixture
def amp_here(monkeypatch):
    """Let mixed precision be asked for on a CPU, where OneFlow scales the loss and no more."""
    monkeypatch.setattr(engine_graph, "check_possible", lambda *args: None)


# The gradient overflows under a scale of 2**16 and 2**15, not of 2**14.
HUGE = 1e35


def test_an_update_that_overflows_is_made_again_with_half_the_scale(tmp_path, amp_here):
    settings = {"model": None, "stop_step": 7, "scheduler": None}
    images = Spoiled({3: HUGE})
    trainer = fit(build_trainer(tmp_path / "a", train=images, amp=True, **settings))
    eager = fit(build_trainer(tmp_path / "b", train=images, **settings))
    assert trainer.skipped > 0 and eager.skipped == 0
    assert trainer.applied == eager.applied == [[0.1 * 0.5**step] for step in range(7)]
    scale = {name: tensor.numpy().item() for name, tensor in trainer.update.state().items()}
    assert scale == {"LossScale": 2.0 ** (16 - trainer.skipped), "GoodStepCounter": 4}
    for name, array in weights(eager).items():
        np.testing.assert_allclose(weights(trainer)[name], array, rtol=1e-6, err_msg=name)
    last = tmp_path / "a/checkpoints/last/state.json"
    assert set(json.loads(last.read_text())["update"]) == set(scale)


def test_a_step_that_overflows_under_any_scale_stops_the_run(tmp_path, amp_here):
    spoiled = Spoiled({3: float("inf")})
    settings = {"train": spoiled, "model": model_with_norm(), "amp": True, "max_skipped": 4}
    trainer = build_trainer(tmp_path, **settings)
    with pytest.raises(FloatingPointError, match=r"Up to step 3 at .* 4 updates in a row"):
        fit(trainer)
    whole = fit(build_trainer(tmp_path / "whole", model=model_with_norm(), stop_step=3))
    check_same(weights(trainer), weights(whole))


def test_the_loss_scale_is_resumed(train_here, amp_here):
    settings = (*SMALL, "trainer.amp=true")
    cut = train_here(*settings, stop=5, folder="cut")
    train_here(f"resume={cut}", NET[1], folder="cut")
    check_equal(evidence(train_here(*settings, folder="whole")), evidence(cut))
    state = json.loads((cut / "checkpoints/last/state.json").read_text())["update"]
    assert set(state) == {"LossScale", "GoodStepCounter"}


def test_a_model_that_cannot_be_compiled_is_told(train_here):
    branching = "model._target_=tests.helpers.nets.Branching"
    with pytest.raises(ValueError, match=r"trainer.graph=true: OneFlow cannot compile Branching: "):
        train_here(*SMALL, branching, GRAPH)


def test_the_summary_says_that_every_rate_was_as_previewed(train_here):
    run = Run(train_here(*SMALL, GRAPH), None)
    assert run.summary["lr_check"] == {"steps": 14, "mismatches": 0}
