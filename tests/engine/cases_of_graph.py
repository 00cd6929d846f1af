"""What `test_graph` runs in a process of its own: once compiled, a graph stays in its process."""

import json

import numpy as np
import oneflow as flow
import pytest
from omegaconf import OmegaConf

from engine import graph as engine_graph
from engine.graph import GraphUpdate
from schedulers import Horizon, build_scheduler, trace_lr
from tests.conftest import ROOT, TINY
from tests.engine.test_trainer import Batches, build_trainer, fit, weights
from tests.helpers.continuing import SCHEDULERS, check_equal, evidence

NET = ("model._target_=tests.helpers.nets.with_norm", "allow_targets=[tests.helpers.nets]")
# 14 steps in 2 epochs of 6 batches of 8 and one of 4 images
SMALL = (*TINY, *NET, "dataset.train_size=52", "batch_size=8", "scheduler=warmup")
HARD = (
    *("trainer.decay_norm_and_bias=false", "trainer.label_smoothing=0.1", "trainer.eval_every=4"),
    "trainer.clip_grad_norm=2.5",  # with SGD the first 7 gradients are longer, the others not
)
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
    return GraphUpdate(model, Mean(), optimizer, None, amp=False, stochastic=False)


def sample(default, every):
    """Return parameters: those of the default run, and the rest for the full one."""
    return [pytest.param(p, marks=() if p in default else pytest.mark.full) for p in every]


@pytest.mark.parametrize("name", sample(["warmup", "reduce_on_plateau"], SCHEDULERS))
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
    previewed = np.transpose(trace_lr(node, BASE_LRS, horizon, metrics if plateau else None))
    np.testing.assert_array_equal(np.float32(applied), np.float32(previewed))
    assert name in ("constant", "none") or len(set(map(tuple, applied))) > 1


EXACT = {"sgd", "rmsprop", "adagrad", "adadelta"}


@pytest.mark.parametrize("optimizer", sample(["sgd", "adamw"], [*EXACT, "adam", "adamw", "lamb"]))
@pytest.mark.parametrize("hard", [HARD, pytest.param((), marks=pytest.mark.full)], ids=["hard", ""])
def test_the_same_run_as_the_eager_one(train_here, optimizer, hard):
    """Two groups, clipped, smoothed, evaluated inside an epoch, a last batch of another size."""
    ways = ("trainer.graph=false", "trainer.graph=true")
    words = (*SMALL, f"optimizer={optimizer}", *hard)
    eager, graph = (evidence(train_here(*words, way, folder=way)) for way in ways)
    assert eager["tensors"].keys() == graph["tensors"].keys()
    pairs = [(eager["tensors"][key], graph["tensors"][key]) for key in eager["tensors"]]
    arrays = [[np.frombuffer(data, kind) for kind, _, data in pair] for pair in pairs]
    arrays.append([np.array(run["curves"]["train/loss"]) for run in (eager, graph)])
    worst = max(np.abs(a - b).max() for a, b in arrays)
    assert worst <= (0 if optimizer in EXACT else 2e-5)
    assert graph["summary"]["lr_check"] == {"steps": 14, "mismatches": 0}


@pytest.mark.parametrize("before", sample(["false"], ["false", "true"]))
def test_a_fork_may_change_between_eager_and_graph(train_here, before):
    """Weights and momentum go over: with SGD the results are the same bits."""
    after = {"false": "true", "true": "false"}[before]
    keep = "trainer.checkpoint_every=5"
    whole = train_here(*SMALL, keep, f"trainer.graph={before}", "trainer.keep_last=9")
    forked = (f"fork={whole}", "fork_at=5", f"trainer.graph={after}", NET[1])
    fork = evidence(train_here(*forked, folder="fork"))
    for key, content in evidence(whole)["tensors"].items():
        assert key == "optimizer:applied" or fork["tensors"][key] == content, key


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="loss of step 4 is nan"):
        fit(build_trainer(tmp_path, train=Batches(factors={4: float("inf")}), graph=True))
    assert (tmp_path / "checkpoints/last").resolve().name == "step_00000003"


@pytest.fixture
def amp_here(monkeypatch):
    """Let mixed precision be asked for on a CPU, where OneFlow scales the loss and no more."""
    monkeypatch.setattr(engine_graph, "check_possible", lambda *args: None)


def test_an_update_that_overflows_is_left_out_and_the_step_counts(tmp_path, amp_here):
    """The gradient of step 3 overflows under the scale of 2**16; six eager steps agree."""
    trainer = fit(build_trainer(tmp_path, train=Batches(factors={3: 1e35}), amp=True))
    plain = build_trainer(tmp_path / "eager")
    for step, (images, labels) in enumerate([*Batches().epoch()] * 2 + [*Batches().epoch()][:1]):
        plain.optimizer.param_groups[0]["lr"] = 0.1 * 0.5**step
        if step != 3:
            plain.update(images, labels)
    for name, array in weights(plain).items():
        np.testing.assert_allclose(weights(trainer)[name], array, rtol=1e-5, err_msg=name)
    assert trainer.applied == [[0.1 * 0.5**step] for step in range(7)]
    saved = json.loads((tmp_path / "checkpoints/last/state.json").read_text())
    assert (saved["step"], saved["optimizer"]["state"]["$pairs"][0]) == (7, ["step", 6])
    scale = {name: tensor.numpy().item() for name, tensor in trainer.update.state().items()}
    assert scale == {"LossScale": 2.0**15, "GoodStepCounter": 3}


@pytest.mark.parametrize(
    "key", sample(["trainer.amp=true"], ["trainer.graph=true", "trainer.amp=true"])
)
def test_a_run_is_resumed_bit_for_bit(train_here, amp_here, key):
    """5 and 9 steps, two of them with a batch of another size, are 14 steps."""
    settings = (*SMALL, "optimizer=adamw", key)
    cut = train_here(*settings, stop=5, folder="cut")
    train_here(f"resume={cut}", NET[1], folder="cut")
    check_equal(evidence(train_here(*settings, folder="whole")), evidence(cut))
    state = json.loads((cut / "checkpoints/last/state.json").read_text())["update"]
    assert set(state) == ({"LossScale", "GoodStepCounter"} if "amp" in key else set())


def test_a_model_that_cannot_be_compiled_is_refused(train_here):
    branching = "model._target_=tests.helpers.nets.Branching"
    with pytest.raises(ValueError, match=r"trainer.graph=true: expected false. OneFlow cannot com"):
        train_here(*SMALL, branching, "trainer.graph=true")
