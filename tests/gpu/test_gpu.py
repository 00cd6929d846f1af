"""A GPU trains as a CPU does: the same batches and masks, and it continues bit for bit."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import oneflow as flow
import pytest

from engine.process import runtime
from engine.update import EagerUpdate
from models.resnet import resnet18
from tests.conftest import ROOT, TINY, Run
from tests.engine.process.test_runtime import check_masks
from tests.gpu.conftest import ask_driver
from tests.helpers.continuing import SHORT, check_equal, evidence
from tests.helpers.launching import launch
from tests.runs.test_ranks import RUN, check_close

GPU = ("dataset=synthetic", *TINY[1:-1], "device=cuda")  # TINY, on the GPU


def losses(folder):
    return np.array(evidence(folder)["curves"]["train/loss"])[:, 1]


def test_auto_takes_the_gpu():
    assert runtime.choose_device("auto") == runtime.choose_device("cuda") == "cuda"


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lamb"])
def test_it_learns_as_on_a_cpu(train_here, optimizer):
    """Sums in another order: the first losses agree to some thousandths."""
    words = ("scheduler=warmup", f"optimizer={optimizer}")
    here, there = train_here(*TINY, *words, folder="cpu"), train_here(*GPU, *words, folder="gpu")
    np.testing.assert_allclose(losses(there)[:5], losses(here)[:5], rtol=5e-3)
    assert Run(there, None).summary["lr_check"] == {"steps": 20, "mismatches": 0}


def test_an_evaluation_is_that_of_a_cpu(train_here):
    """One step, at a rate of nothing: both evaluate the first weights."""
    words = ("max_steps=1", "optimizer.lr=1e-12", "optimizer.weight_decay=0")
    folders = (train_here(*TINY, *words, folder="cpu"), train_here(*GPU, *words, folder="gpu"))
    here, there = (Run(folder, None).curves for folder in folders)
    for tag in ("val/loss", "test/loss"):
        assert np.isclose(here[tag][0][1], there[tag][0][1], rtol=1e-3), tag


@pytest.mark.parametrize("key", ["trainer.graph=false", "trainer.graph=true", "trainer.amp=true"])
def test_a_run_that_was_stopped_continues_bit_for_bit(train_here, key):
    words = (*SHORT, "scheduler=cosine_annealing", "device=cuda", key)
    whole = evidence(train_here(*words, folder="whole"))
    check_equal(evidence(train_here(*words, folder="again")), whole)  # else the GPU does not repeat
    stopped = train_here(*words, folder="stopped", stop=6)
    train_here(f"resume={stopped}", folder="stopped")
    check_equal(evidence(stopped), whole)


def test_a_run_goes_from_a_cpu_to_the_gpu_and_back(train_here):
    stopped = train_here(*SHORT, "scheduler=warmup", folder="moved", stop=6)
    train_here(f"resume={stopped}", "device=cuda", folder="moved", stop=12)
    train_here(f"resume={stopped}", "device=cpu", folder="moved")
    summary = evidence(stopped)["summary"]
    assert summary["status"] == "completed" and summary["lr_check"]["mismatches"] == 0


def test_dropout_follows_the_seed():
    check_masks("cuda")


def test_graphs_and_mixed_precision_train_nearly_the_same(train_here):
    eager = train_here(*GPU, folder="eager")
    graph = train_here(*GPU, "trainer.graph=true", folder="graph")
    mixed = train_here(*GPU, "trainer.amp=true", folder="mixed")
    np.testing.assert_allclose(losses(graph), losses(eager), rtol=1e-3)
    difference = np.abs(losses(mixed) - losses(eager))
    assert difference[0] < 0.05
    assert difference.max() > 0  # else nothing was computed in half precision
    state = json.loads((mixed / "checkpoints/last/state.json").read_text())["update"]
    assert set(state) == {"LossScale", "GoodStepCounter"}


@pytest.mark.skipif(flow.cuda.device_count() < 2, reason="two ranks need two usable GPUs")
def test_two_gpus_train_what_one_gpu_trains_and_none_outlives_the_other(tmp_path, train_here):
    ended = launch("train.py", *RUN, "device=cuda", f"hydra.run.dir={tmp_path / 'two'}")
    assert ended.returncode == 0, ended.stderr
    check_close(evidence(train_here(*RUN, "device=cuda")), evidence(tmp_path / "two"))
    words = ("-m", "tests.helpers.faulty", "1", "5", "SIGKILL", *RUN, "device=cuda")
    assert launch(*words, f"hydra.run.dir={tmp_path / 'run'}").returncode != 0


def test_two_jobs_share_one_gpu(tmp_path, report):
    """`hydra.launcher.n_jobs=2` with one GPU to be seen: both get it, each its slot."""
    sweep = [f"hydra.sweep.dir={tmp_path}/sweep", "scheduler=step", "seed=0,1"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    start = time.perf_counter()
    command = [sys.executable, "train.py", "-m", *GPU, *sweep, *launcher]
    subprocess.run(
        command, cwd=ROOT, env=os.environ | {"CUDA_VISIBLE_DEVICES": visible}, check=True
    )
    records = [json.loads(path.read_text()) for path in tmp_path.glob("sweep/*/.job.json")]
    assert {record["place"] for record in records} == {f"gpu{visible}", f"gpu{visible}.2"}
    report("two small jobs on one GPU", f"{time.perf_counter() - start:.0f} s, both completed")


def test_speed_and_memory_of_resnet18(report):
    """100 eager steps at batch 128; the memory that the driver sees is asked before and after."""
    model = resnet18(num_classes=100).to("cuda")
    optimizer = flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    update = EagerUpdate(model, flow.nn.CrossEntropyLoss(), optimizer, None)
    batch = flow.randn(128, 3, 32, 32, device="cuda"), flow.zeros(128, dtype=flow.int64).to("cuda")

    def seconds(steps):
        start = time.perf_counter()
        for _ in range(steps):
            loss, _ = update(*batch)
        loss.numpy()
        return time.perf_counter() - start

    seconds(10)
    held = ask_driver("pid,used_memory", "compute-apps")
    report("ResNet-18, batch 128, eager", f"{12800 / seconds(100):,.0f} images/s")
    mine = [line.split(",")[1].strip() for line in held if line.startswith(f"{os.getpid()},")]
    report("its memory, by the driver", mine[0] if mine else "unknown (in a container)")
    assert ask_driver("pid,used_memory", "compute-apps") == held  # nothing grows from step to step
