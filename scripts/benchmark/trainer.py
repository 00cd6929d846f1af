"""The Trainer's step, with its recording, against the bare forward, backward and update."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, in_turns, seconds

NEVER = 10**9  # steps
RECORDED = 20  # steps that a run fetches and writes at once


class OneBatch:
    """A loader that always yields the same batch, so that only the training is measured."""

    def __init__(self, batch_size: int) -> None:
        random = np.random.default_rng(0)
        images = random.standard_normal((batch_size, 3, 32, 32), dtype="float32")
        labels = random.integers(0, 100, batch_size)
        self.batch = runtime.flow.tensor(images), runtime.flow.tensor(labels)

    def __len__(self) -> int:
        return NEVER

    def epoch(self, epoch: int = 0, start_step: int = 0) -> Iterator[Any]:
        """Yield the batch forever."""
        while True:
            yield self.batch


def measure(options: Options) -> list[Figure]:
    """Return the ratios for two models, and the time to record a step."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, batch_size, steps, turns in ((convnet_tiny, 128, 20, 31), (resnet20, 32, 4, 7)):
        name = f"step of the Trainer / bare step ({build.__name__}, batch {batch_size}"
        wall, processor = compare_steps(build, batch_size, steps, options.turns(turns))
        figures.append(figure("trainer", f"{name})", "ratio", wall))
        figures.append(figure("trainer", f"{name}, processor time)", "ratio", processor))
    return [*figures, measure_recording(options.turns(21))]


def compare_steps(
    build: Callable[..., Any], batch_size: int, steps: int, turns: int
) -> list[list[float]]:
    """Return the ratios of the Trainer's steps to bare ones, by wall and by processor time.

    A turn has as many steps as are fetched and written at once.
    """
    from engine.recorder import Recorder

    loader = OneBatch(batch_size)
    bare = build_bare_steps(build, loader, steps)
    with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder), NEVER, steps) as recorder:
        trainer = build_trainer(build, loader, recorder)
        return in_turns(lambda: make_steps(trainer, steps), bare, turns)


def build_parts(build: Callable[..., Any]) -> tuple[Any, Any]:
    """Return a model with seed 0, and SGD with momentum."""
    runtime.flow.manual_seed(0)
    model = build(num_classes=100)
    return model, runtime.flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def build_bare_steps(build: Callable[..., Any], loader: OneBatch, steps: int) -> Any:
    """Return a function that makes `steps` steps as OneFlow's examples do."""
    model, optimizer = build_parts(build)
    images, labels = loader.batch
    criterion = runtime.flow.nn.CrossEntropyLoss()

    def make() -> None:
        for _ in range(steps):
            criterion(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    return make


def build_trainer(build: Callable[..., Any], loader: OneBatch, recorder: Any, **more: Any) -> Any:
    """Return a Trainer whose schedule changes the learning rate at every step."""
    from oneflow.optim.lr_scheduler import CosineAnnealingLR

    from engine.trainer import Trainer

    model, optimizer = build_parts(build)
    loaders = dict.fromkeys(("train", "val", "test"), loader)
    never = dict.fromkeys(("stop_step", "eval_every", "checkpoint_every"), NEVER)
    schedule = CosineAnnealingLR(optimizer, 10**6)
    return Trainer(model, optimizer, schedule, loaders, recorder, **never, **more)


def make_steps(trainer: Any, steps: int) -> None:
    """Make `steps` training steps with the loader's batch."""
    images, labels = trainer.train_loader.batch
    for _ in range(steps):
        trainer.train_step(images, labels)


def measure_recording(turns: int) -> Figure:
    """Return the processor time to record a step whose values are computed already."""
    from engine.recorder import Recorder

    loss, correct = runtime.flow.tensor(4.6), runtime.flow.tensor(3.0)
    with tempfile.TemporaryDirectory() as name, Recorder(Path(name), NEVER, RECORDED) as recorder:

        def record() -> None:
            for step in range(RECORDED):
                recorder.train_step(step, [0.1], loss, correct, 128)

        record()  # to warm up
        times = [seconds(record, time.process_time) / RECORDED * 1e6 for _ in range(turns)]
    return figure("trainer", "recording of a step, processor time", "us", times)
