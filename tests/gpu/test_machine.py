"""What a GPU is asked to hold and to do: several jobs at a time, memory, the time of a step."""

import json
import os
import subprocess
import sys
import time

import oneflow as flow

from models.resnet import resnet18
from tests.conftest import ROOT, TINY
from tests.gpu.conftest import ask_driver


def synchronize():
    flow._oneflow_internal.eager.Sync()


def test_two_jobs_share_one_gpu(tmp_path, device, tell):
    """`hydra.launcher.n_jobs=2` with one GPU to be seen: both get it, each its own place."""
    words = [word for word in TINY if not word.startswith("device=")]
    sweep = [f"hydra.sweep.dir={tmp_path}/sweep", f"device={device}", "seed=0,1"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "train.py", "-m", *words, "scheduler=step", *sweep, *launcher],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": visible},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("sweep/*/.job.json")]
    assert {record["place"] for record in records} == {f"gpu{visible}", f"gpu{visible}.2"}
    tell("two small jobs on one GPU", f"{time.perf_counter() - start:.0f} s, both completed")


def test_speed_and_memory_of_resnet18(device, tell):
    """100 eager steps at batch 128; the memory that the driver sees is asked before and after."""
    flow.manual_seed(0)
    model = resnet18(num_classes=100).to(device)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = flow.randn(128, 3, 32, 32, device=device)
    labels = flow.zeros(128, dtype=flow.int64, device=device)

    def step():
        flow.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(10):
        step()
    synchronize()
    held = ask_driver("pid,used_memory", "compute-apps")
    start = time.perf_counter()
    for _ in range(100):
        step()
    synchronize()
    seconds = time.perf_counter() - start
    tell("ResNet-18, batch 128, eager", f"{12800 / seconds:,.0f} images/s")
    mine = [line.split(",")[1].strip() for line in held if line.startswith(f"{os.getpid()},")]
    tell("its memory, by the driver", mine[0] if mine else "not told (in a container)")
    assert ask_driver("pid,used_memory", "compute-apps") == held  # nothing grows from step to step
