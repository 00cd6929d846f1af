"""The Trainer's step, with its recording, against the bare forward, backward and update."""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, in_turns, seconds

NEVER = 10**9  # steps
RECORDED = 20  # steps that a run fetches and writes at once
Action = Callable[[], Any]


def measure(options: Namespace) -> Iterator[Figure]:
    """Yield the ratios for two models, and the time to record a step.

    A turn has as many steps as are fetched and written at once.
    """
    from engine.recorder import Recorder
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    for build, size, steps, turns in ((convnet_tiny, 128, 20, 31), (resnet20, 32, 4, 7)):
        with tempfile.TemporaryDirectory() as name, Recorder(Path(name), NEVER, steps) as recorder:
            ours = repeat(trainer_step(build, size, recorder), steps)
            bare = repeat(bare_step(*build_parts(build, size)), steps)
            wall, processor = in_turns(ours, bare, 1 if options.quick else turns)
        name = f"step of the Trainer / bare step ({build.__name__}, batch {size}"
        yield f"{name})", "ratio", wall
        yield f"{name}, processor time)", "ratio", processor
    times = recording_times(1 if options.quick else 21)
    yield "recording of a step, processor time", "us", times


def repeat(step: Action, count: int) -> Action:
    """Return a function that makes `count` steps."""
    return lambda: [step() for _ in range(count)]


def build_parts(build: Callable[..., Any], size: int) -> tuple[Any, Any, Any, Any]:
    """Return always the same model, SGD with momentum, and a batch of images and labels."""
    random = np.random.default_rng(0)
    images = random.standard_normal((size, 3, 32, 32), dtype="float32")
    batch = map(runtime.flow.tensor, (images, random.integers(0, 100, size)))
    runtime.flow.manual_seed(0)
    model = build(num_classes=100)
    return model, runtime.flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), *batch


def bare_step(model: Any, optimizer: Any, images: Any, labels: Any) -> Action:
    """Return a function that makes a step as OneFlow's examples do, and returns the loss."""
    criterion = runtime.flow.nn.CrossEntropyLoss()

    def step() -> Any:
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def trainer_step(build: Callable[..., Any], size: int, recorder: Any, **more: Any) -> Action:
    """Return a function that makes a Trainer's step; the learning rate changes at each."""
    from oneflow.optim.lr_scheduler import CosineAnnealingLR

    from engine.trainer import Trainer

    model, optimizer, images, labels = build_parts(build, size)
    no_loaders: dict[str, Any] = dict.fromkeys(("train", "val", "test"), ())
    never = dict.fromkeys(("stop_step", "eval_every", "checkpoint_every"), NEVER)
    schedule = CosineAnnealingLR(optimizer, 10**6)
    trainer = Trainer(model, optimizer, schedule, no_loaders, recorder, **never, **more)
    return lambda: trainer.train_step(images, labels)


def recording_times(turns: int) -> list[float]:
    """Return the microseconds of processor time to record a step whose values are computed."""
    from engine.recorder import Recorder

    loss, correct = runtime.flow.tensor(4.6), runtime.flow.tensor(3.0)
    with tempfile.TemporaryDirectory() as name, Recorder(Path(name), NEVER, RECORDED) as recorder:

        def record() -> None:
            for step in range(RECORDED):
                recorder.train_step(step, [0.1], loss, correct, 128)

        record()  # to warm up
        times = [seconds(record, time.process_time)[0] for _ in range(turns)]
    return [each / RECORDED * 1e6 for each in times]
