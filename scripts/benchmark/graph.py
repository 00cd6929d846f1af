"""A step compiled by nn.Graph (`trainer.graph=true`) against the same step, eager."""

from collections.abc import Callable
from typing import Any

from scripts.benchmark.measure import Figure, Options, figure, in_turns
from scripts.benchmark.trainer import Resident, build_parts, runtime


def measure(options: Options) -> list[Figure]:
    """Ratios on two nets, by the clock and by the processor's time; compiling is not in them."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, batch_size, steps in ((convnet_tiny, 128, 20), (resnet20, 32, 3)):
        loader = Resident(batch_size)
        ways = [steps_of(build, loader, steps, graph) for graph in (True, False)]
        name = f"compiled step / eager step ({build.__name__}, batch {batch_size}"
        found = in_turns(*ways, options.turns(11))
        for ratios, told in zip(found, (")", ", processor time)"), strict=True):
            figures.append(figure("graph", name + told, "ratio", ratios))
    return figures


def steps_of(
    build: Callable[..., Any], loader: Resident, steps: int, graph: bool
) -> Callable[[], None]:
    """A function that makes so many steps."""
    model, optimizer = build_parts(build)
    from engine.graph import GraphUpdate
    from engine.update import EagerUpdate

    parts = (model, runtime.flow.nn.CrossEntropyLoss(), optimizer, None)
    update = GraphUpdate(*parts, False, False) if graph else EagerUpdate(*parts)

    def make() -> None:
        told = [update(*loader.batch) for _ in range(steps)]
        told[-1][0].numpy()

    return make
