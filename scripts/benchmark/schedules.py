"""`trace_lr` over 100,000 steps for every shipped schedule."""

import statistics

from runs.command_line import CONF
from scripts.benchmark.measure import Figure, Options, figure, seconds


def measure(options: Options) -> list[Figure]:
    """Seconds of the slowest, which stands for all."""
    from omegaconf import OmegaConf

    from schedulers import Horizon, trace_lr

    horizon, turns = Horizon(100_000, 391), options.turns(5)
    slowest: tuple[float, str, list[float]] = (0.0, "", [])
    for path in sorted((CONF / "scheduler").glob("*.yaml")):
        node = OmegaConf.load(path)
        times = [seconds(lambda node=node: trace_lr(node, [0.1], horizon)) for _ in range(turns)]
        slowest = max(slowest, (statistics.median(times), path.stem, times))
    name = f"trace_lr, 100,000 steps, slowest of all ({slowest[1]})"
    return [figure("schedules", name, "s", slowest[2])]
