"""Short ways to write nodes and to ask for rates at chosen steps."""

import oneflow as flow

from schedulers import Horizon, trace_lr

UPSTREAM = "oneflow.optim.lr_scheduler."
LENGTH = 100  # steps of the runs in these tables; lengths in their nodes are plain steps


def node(target: str, **arguments) -> dict:
    """A node for a class of OneFlow (a bare name) or of this repository (a dotted path)."""
    return {"_target_": target if "." in target else UPSTREAM + target, **arguments}


def build_optimizer(*base_lrs: float):
    return flow.optim.SGD([{"params": [flow.zeros(1)], "lr": lr} for lr in base_lrs], lr=0.0)


def power(step: int, base: float) -> float:
    """A function for LambdaLR."""
    return base**step


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


def sentence_of(schedule, *base_lrs: float, horizon: Horizon | None = None) -> str:
    """What the user is told about a node that is refused."""
    try:
        trace_lr(schedule, base_lrs or [0.1], horizon or Horizon(1000, 100))
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{schedule} was accepted")


def curve(scheduler, steps: int) -> list[float]:
    """Rates of the first group."""
    return [rates[0] for rates in stepped(scheduler, steps)]


def ramp(optimizer, start=0.1, length=2):
    return flow.optim.lr_scheduler.LinearLR(optimizer, start_factor=start, total_iters=length)
