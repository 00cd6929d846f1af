"""Short ways to write nodes and to read rates at chosen steps."""

import oneflow as flow
import yaml

from schedulers import Horizon, trace_lr
from tests.conftest import ROOT

YAMLS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted(ROOT.glob("conf/scheduler/*.yaml"))
}
TARGETS = {
    shipped["_target_"].rpartition(".")[2]: shipped["_target_"] for shipped in YAMLS.values()
}
LENGTH = 100  # steps of the runs in these tables; durations in their nodes are plain steps


def node(target: str, **arguments) -> dict:
    """A node for a class that a YAML names, of OneFlow or of this repository, or a dotted path."""
    return {"_target_": TARGETS.get(target, target), **arguments}


def sequential(*schedulers, at, rescaling=True) -> dict:
    parts = {"schedulers": list(schedulers), "milestones": at, "interval_rescaling": rescaling}
    return node("SequentialLR", **parts)


def chained(*schedulers) -> dict:
    return node("ChainedScheduler", schedulers=list(schedulers))


def build_optimizer(*base_lrs: float):
    return flow.optim.SGD([{"params": [flow.zeros(1)], "lr": lr} for lr in base_lrs], lr=0.0)


def rates(schedule: dict, *steps: int, base_lr: float = 1.0) -> list[float]:
    """Rates of a node at these steps, from a trace of a whole run."""
    trace = trace_lr(schedule, [base_lr], Horizon(LENGTH, 10))[0]
    return [trace[step] for step in steps]


def stepped(scheduler, steps: int) -> list[list[float]]:
    """Rates of all groups over the next steps, by stepping."""
    rows = []
    for _ in range(steps):
        rows.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.step()
    return rows


def curve(scheduler, steps: int) -> list[float]:
    """Rates of the first group over the next steps."""
    return [rates[0] for rates in stepped(scheduler, steps)]


def sentence_of(schedule, *base_lrs: float) -> str:
    """The error for a node that is refused."""
    try:
        trace_lr(schedule, base_lrs or [0.1], Horizon(1000, 100))
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{schedule} was accepted")
