"""The same nets in PyTorch, which runs in an environment and a process of its own.

Both get the same images and the same first weights, and their losses after a few steps are compared
before any time is: the figures are of the same net.
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
SPECS = (("convnet_tiny", 128, 20), ("resnet20", 32, 5))  # net, batch, steps of a turn


def measure(options: Options) -> list[Figure]:
    """Seconds per step here and there, with one thread and with all, and their ratios."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, (name, batch, steps) in zip((convnet_tiny, resnet20), SPECS, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "start.npz"
            ours = build_step(build, batch, path)
            check_losses(ours, run_torch(options, name, path, CHECKED, 1)["losses"], name)
            figures += compare(options, name, batch, path, ours, steps)
    return figures


def compare(
    options: Options, name: str, batch: int, path: Path, ours: Callable[[], Any], steps: int
) -> list[Figure]:
    """The figures of one net, from turns of OneFlow, PyTorch with one thread and with all."""
    threads = (1, len(os.sched_getaffinity(0)))

    def step() -> None:
        for _ in range(steps):
            ours()

    rows = []
    for _ in range(options.turns(5)):
        here = seconds(step) / steps
        there = [run_torch(options, name, path, steps, count)["seconds"] for count in threads]
        rows.append((1000 * here, *(1000 * value for value in there)))
    net = f"{name}, batch {batch}"
    figures = [figure("peers", f"bare step in OneFlow ({net})", "ms", [row[0] for row in rows])]
    for place, count in enumerate(threads, 1):
        told = f"PyTorch, {count} thread{'s'[: count > 1]} ({net})"
        figures += [
            figure("peers", f"the same in {told}", "ms", [row[place] for row in rows]),
            figure("peers", f"OneFlow / {told}", "ratio", [row[0] / row[place] for row in rows]),
        ]
    return figures


def build_step(build: Callable[..., Any], batch: int, path: Path) -> Callable[[], Any]:
    """A bare training step that returns its loss; writes the batch and the first weights."""
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


def run_torch(options: Options, name: str, path: Path, steps: int, threads: int) -> dict[str, Any]:
    """Seconds per step and the first losses of the same net in PyTorch."""
    command = [str(options.torch_python), str(CHILD), name, str(path), str(steps), str(threads)]
    return run_child(command, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))


def check_losses(ours: Callable[[], Any], theirs: list[float], name: str) -> None:
    """Make the first steps, and refuse to compare nets that learn differently.

    Raises:
        RuntimeError: the losses are not those of PyTorch.
    """
    losses = [float(ours().numpy()) for _ in range(CHECKED)]
    if not np.allclose(losses, theirs[:CHECKED], rtol=LOSS_TOLERANCE):
        raise RuntimeError(f"{name}: the losses are {losses} here and {theirs} in PyTorch.")
