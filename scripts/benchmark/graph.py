"""A step compiled by nn.Graph (`trainer.graph=true`) against the same step, eager."""

import tempfile
from pathlib import Path

from scripts.benchmark.measure import Figure, Options, figure, in_turns
from scripts.benchmark.trainer import NEVER, OneBatch, build_trainer, make_steps


def measure(options: Options) -> list[Figure]:
    """Return the ratios for two models; the time of compiling is not in them."""
    from engine.recorder import Recorder
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, batch_size, steps in ((convnet_tiny, 128, 20), (resnet20, 32, 3)):
        with tempfile.TemporaryDirectory() as name, Recorder(Path(name), NEVER, steps) as recorder:
            compiled, eager = (
                build_trainer(build, OneBatch(batch_size), recorder, graph=graph)
                for graph in (True, False)
            )
            wall, processor = in_turns(
                lambda: make_steps(compiled, steps),  # noqa: B023  (called in this pass)
                lambda: make_steps(eager, steps),  # noqa: B023
                options.turns(11),
            )
        name = f"compiled step / eager step ({build.__name__}, batch {batch_size}"
        figures.append(figure("graph", f"{name})", "ratio", wall))
        figures.append(figure("graph", f"{name}, processor time)", "ratio", processor))
    return figures
