"""A step compiled by nn.Graph (`trainer.graph=true`) against the same step, eager."""

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmark.measure import Figure, in_turns
from scripts.benchmark.trainer import NEVER, repeat, trainer_step


def measure(options: Namespace) -> Iterator[Figure]:
    """Yield the ratios for two models; the time of compiling is not in them."""
    from engine.recorder import Recorder
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    for build, size, steps in ((convnet_tiny, 128, 20), (resnet20, 32, 3)):
        with tempfile.TemporaryDirectory() as name, Recorder(Path(name), NEVER, steps) as recorder:
            compiled = repeat(trainer_step(build, size, recorder, graph=True), steps)
            eager = repeat(trainer_step(build, size, recorder), steps)
            wall, processor = in_turns(compiled, eager, 1 if options.quick else 11)
        name = f"compiled step / eager step ({build.__name__}, batch {size}"
        yield f"{name})", "ratio", wall
        yield f"{name}, processor time)", "ratio", processor
