"""The same models in PyTorch, which runs in another environment and process.

Both get the same images and first weights. Their losses after a few steps are compared before
anything is timed.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, run_child, seconds

CHILD = Path(__file__).with_name("peers_torch.py")
CHECKED = 3  # steps after which the losses are compared
LOSS_TOLERANCE = 1e-3  # relative; single precision, other kernels


def measure(options: Options) -> list[Figure]:
    """Return seconds per step in both, in PyTorch with one thread and with all, and the ratios."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, batch, steps in ((convnet_tiny, 128, 20), (resnet20, 32, 5)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "start.npz"
            step = build_step(build, batch, path)
            command = [str(options.torch_python), str(CHILD), build.__name__, str(path)]
            check_losses(step, run_torch(command, CHECKED, 1)["losses"], build.__name__)
            turns = options.turns(5)
            figures += compare(f"{build.__name__}, batch {batch}", step, command, steps, turns)
    return figures


def compare(
    model: str, step: Callable[[], Any], command: list[str], steps: int, turns: int
) -> list[Figure]:
    """Return the figures of one model."""
    threads = (1, len(os.sched_getaffinity(0)))

    def make_steps() -> None:
        for _ in range(steps):
            step()

    rows = []
    for _ in range(turns):
        here = seconds(make_steps) / steps
        there = [run_torch(command, steps, count)["seconds"] for count in threads]
        rows.append([1000 * value for value in (here, *there)])
    figures = [figure("peers", f"bare step in OneFlow ({model})", "ms", [row[0] for row in rows])]
    for place, count in enumerate(threads, 1):
        name = f"PyTorch, {count} thread{'s'[: count > 1]} ({model})"
        figures += [
            figure("peers", f"bare step in {name}", "ms", [row[place] for row in rows]),
            figure("peers", f"OneFlow / {name}", "ratio", [row[0] / row[place] for row in rows]),
        ]
    return figures


def build_step(build: Callable[..., Any], batch: int, path: Path) -> Callable[[], Any]:
    """Return a bare training step that returns its loss; write the batch and the first weights."""
    flow, random = runtime.flow, np.random.default_rng(0)
    images = random.standard_normal((batch, 3, 32, 32), dtype="float32")
    labels = random.integers(0, 100, batch)
    flow.manual_seed(0)
    model = build(num_classes=100)
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    np.savez(path, images=images, labels=labels, **weights)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = flow.nn.CrossEntropyLoss()
    images, labels = flow.tensor(images), flow.tensor(labels)

    def step() -> Any:
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def run_torch(command: list[str], steps: int, threads: int) -> dict[str, Any]:
    """Return the first losses and the seconds per step in PyTorch."""
    words = [*command, str(steps), str(threads)]
    return run_child(words, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))


def check_losses(step: Callable[[], Any], expected: list[float], model: str) -> None:
    """Make the first steps and compare their losses with PyTorch's.

    Raises:
        RuntimeError: they differ, so the models are not the same.
    """
    losses = [float(step().numpy()) for _ in range(CHECKED)]
    if not np.allclose(losses, expected[:CHECKED], rtol=LOSS_TOLERANCE):
        raise RuntimeError(f"{model}: the losses are {losses} here and {expected} in PyTorch.")
