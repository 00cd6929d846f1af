"""A GPU trains as a CPU does: the same batches, masks and gates, and it goes on bit for bit."""

import numpy as np
import oneflow as flow
import pytest

from engine.process import runtime
from models.resnet import resnet20
from tests.helpers.continuing import SHORT, check_equal, evidence


def weights_of(model):
    return {name: tensor.cpu().numpy().copy() for name, tensor in model.state_dict().items()}


def test_auto_takes_the_gpu(device):
    assert runtime.choose_device("auto") == runtime.choose_device("cuda") == device
    assert flow.cuda.device_count() >= 1


def test_a_run_completes(run_training, device):
    run = run_training("scheduler=warmup", f"device={device}")
    assert run.summary["status"] == "completed"
    assert run.summary["lr_check"] == {"steps": 20, "mismatches": 0}
    assert len(run.curves["train/loss"]) == len(run.curves["lr/group0"]) == 20
    assert np.isfinite([value for _, value in run.curves["train/loss"]]).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lamb"])
def test_it_learns_as_on_a_cpu(run_training, device, optimizer):
    """Sums in another order: the first losses agree to some thousandths."""
    words = (f"optimizer={optimizer}", "max_steps=5")
    here, there = (
        run_training(*words, f"device={name}", folder=folder).curves["train/loss"]
        for folder, name in (("here", "cpu"), ("there", device))
    )
    assert np.allclose([value for _, value in here], [value for _, value in there], rtol=5e-3)


def test_logits_are_those_of_a_cpu(device):
    flow.manual_seed(0)
    model = resnet20(num_classes=100).eval()
    images = flow.randn(8, 3, 32, 32)
    with flow.no_grad():
        here = model(images).numpy()
        there = model.to(device)(images.to(device)).cpu().numpy()
    np.testing.assert_allclose(there, here, atol=1e-3)


def test_an_evaluation_is_that_of_a_cpu(run_training, device):
    """One step, at a rate of nothing: both evaluate the first weights."""
    words = ("max_steps=1", "optimizer.lr=1e-12", "optimizer.weight_decay=0")
    here, there = (run_training(*words, f"device={name}", folder=name) for name in ("cpu", device))
    for tag in ("val/loss", "test/loss"):
        assert np.isclose(here.curves[tag][0][1], there.curves[tag][0][1], rtol=1e-3), tag


def test_a_run_that_was_stopped_continues_bit_for_bit(train_here, device):
    words = (*SHORT, "scheduler=cosine_annealing", "trainer.checkpoint_every=4", f"device={device}")
    whole = evidence(train_here(*words, folder="whole"))
    again = evidence(train_here(*words, folder="again"))
    check_equal(again, whole)  # else the GPU itself does not repeat: say so in the issue
    stopped = train_here(*words, folder="stopped", stop=6)
    train_here(f"resume={stopped}", folder="stopped")
    check_equal(evidence(stopped), whole)


def test_a_run_goes_from_a_cpu_to_the_gpu_and_back(train_here, device):
    stopped = train_here(*SHORT, "scheduler=warmup", folder="moved", stop=6)
    train_here(f"resume={stopped}", f"device={device}", folder="moved", stop=12)
    train_here(f"resume={stopped}", "device=cpu", folder="moved")
    summary = evidence(stopped)["summary"]
    assert summary["status"] == "completed" and summary["lr_check"]["mismatches"] == 0


def test_dropout_follows_the_seed(device):
    model = flow.nn.Sequential(flow.nn.Dropout(0.5), flow.nn.Dropout(0.5)).to(device)
    assert runtime.follow_seed(model)
    ones = flow.ones(64, device=device)

    def masks(seed):
        flow.manual_seed(seed)
        return [module(ones).cpu().numpy().tolist() for module in model]

    first, second = masks(1)
    assert first != second
    assert masks(1) == [first, second] and masks(2)[0] != first


@pytest.mark.parametrize("action", ["stop", "skip"])
def test_what_is_not_finite_never_reaches_the_weights(run_training, device, action):
    words = (f"device={device}", "optimizer.lr=1e30", f"trainer.on_nonfinite={action}")
    with pytest.raises(FloatingPointError, match=r"not finite|is nan|is inf"):
        run_training(*words, "trainer.max_skipped=3", "trainer.log_every=1")
