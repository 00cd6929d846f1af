"""The same models in PyTorch, which runs in another environment and process.

Both get the same images and first weights. Their losses after a few steps are compared before
anything is timed.
"""

import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmark.measure import Figure, run_child, seconds
from scripts.benchmark.trainer import bare_step, build_parts, repeat

CHILD = "scripts.benchmark.peers_torch"
CHECKED = 3  # steps after which the losses are compared
LOSS_TOLERANCE = 1e-3  # relative; single precision, other kernels


def measure(options: Namespace) -> Iterator[Figure]:
    """Yield ms per step in both, in PyTorch with one thread and with all, and the ratios."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    for build, batch, steps in ((convnet_tiny, 128, 20), (resnet20, 32, 5)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "start.npz"
            parts = model, _, images, labels = build_parts(build, batch)
            start = {"images": images, "labels": labels} | model.state_dict()
            np.savez(path, **{key: tensor.numpy() for key, tensor in start.items()})
            step = bare_step(*parts)
            model_name = f"{build.__module__}.{build.__name__}"
            command = [options.torch_python, "-m", CHILD, model_name, str(path)]
            check_losses(step, run_torch(command, CHECKED, 1)["losses"], build.__name__)
            turns = 1 if options.quick else 5
            yield from compare(f"{build.__name__}, batch {batch}", step, command, steps, turns)


def compare(
    model: str, step: Callable[[], Any], command: list[str], steps: int, turns: int
) -> Iterator[Figure]:
    """Yield the figures of one model."""
    threads = (1, len(os.sched_getaffinity(0)))
    rows = []
    for _ in range(turns):
        here = seconds(repeat(step, steps), time.perf_counter)[0] / steps
        there = [run_torch(command, steps, count)["seconds"] for count in threads]
        rows.append([1000 * value for value in (here, *there)])
    yield f"bare step in OneFlow ({model})", "ms", [row[0] for row in rows]
    for place, count in enumerate(threads, 1):
        name = f"PyTorch, {count} thread{'s'[: count > 1]} ({model})"
        yield f"bare step in {name}", "ms", [row[place] for row in rows]
        yield f"OneFlow / {name}", "ratio", [row[0] / row[place] for row in rows]


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
