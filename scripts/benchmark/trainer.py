"""The Trainer's step, recorded, against the bare forward, backward and update."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, in_turns

NEVER = 10**9


class Resident:
    """A loader that yields one batch for ever, so that only the training is measured."""

    def __init__(self, batch_size: int) -> None:
        random = np.random.default_rng(0)
        images = random.standard_normal((batch_size, 3, 32, 32), dtype="float32")
        labels = random.integers(0, 100, batch_size)
        self.batch = runtime.flow.tensor(images), runtime.flow.tensor(labels)

    def __len__(self) -> int:
        return NEVER

    def epoch(self, epoch: int = 0, start_step: int = 0) -> Iterator[Any]:
        """The one batch, again and again."""
        while True:
            yield self.batch


def measure(options: Options) -> list[Figure]:
    """Ratios on two nets, by the clock and by the processor's time."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, batch_size, steps, turns in ((convnet_tiny, 128, 20, 31), (resnet20, 32, 4, 7)):
        name = f"step of the Trainer / bare step ({build.__name__}, batch {batch_size}"
        ratios = compare_steps(build, Resident(batch_size), steps, options.turns(turns))
        for found, told in zip(ratios, (")", ", processor time)"), strict=True):
            figures.append(figure("trainer", name + told, "ratio", found))
    return figures


def compare_steps(
    build: Callable[..., Any], loader: Resident, steps: int, turns: int
) -> tuple[list[float], list[float]]:
    """Ratios of the Trainer's steps to bare ones; a turn has as many as are fetched at once.

    They take turns after a quarter of those: the speed of a machine changes within seconds.
    """
    from engine.recorder import Recorder

    model, optimizer = build_parts(build)
    bare = bare_steps(model, optimizer, loader, steps // 4)
    with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder), NEVER, steps) as recorder:
        trainer = build_trainer(build, loader, recorder)
        return in_turns(lambda: make_steps(trainer, steps // 4), bare, turns, parts=4)


def build_parts(build: Callable[..., Any]) -> tuple[Any, Any]:
    """A net from the seed 0, and SGD with momentum."""
    runtime.flow.manual_seed(0)
    model = build(num_classes=100)
    return model, runtime.flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def bare_steps(model: Any, optimizer: Any, loader: Resident, steps: int) -> Any:
    """A function that makes so many steps as OneFlow's own examples do."""
    images, labels = loader.batch
    criterion = runtime.flow.nn.CrossEntropyLoss()

    def make() -> None:
        for _ in range(steps):
            criterion(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    return make


def build_trainer(build: Callable[..., Any], loader: Resident, recorder: Any) -> Any:
    """A Trainer with a schedule that changes the rate at every step."""
    from oneflow.optim.lr_scheduler import CosineAnnealingLR

    from engine.trainer import Trainer

    model, optimizer = build_parts(build)
    loaders = dict.fromkeys(("train", "val", "test"), loader)
    never = dict.fromkeys(("stop_step", "eval_every", "checkpoint_every"), NEVER)
    schedule = CosineAnnealingLR(optimizer, 10**6)
    return Trainer(model, optimizer, schedule, loaders, recorder, **never)


def make_steps(trainer: Any, steps: int) -> None:
    """So many training steps with the loader's batch."""
    images, labels = trainer.train_loader.batch
    for _ in range(steps):
        trainer.train_step(images, labels)
