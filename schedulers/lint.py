"""What looks wrong with a schedule, in one line each: the step, the reason and the fix.

The rules look at the trace, so they judge classes that they have never heard of; only where a curve
was meant to end, and what an absolute floor is, must be asked of the YAML node.
Shares of a run are rounded to whole steps. Below 100 steps it is this rounding, and not the
schedule, that makes the shape: the rules about shapes then say nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from schedulers.build import trace_lr
from schedulers.durations import Horizon, to_steps

FEWEST_STEPS = 100  # of a run whose shape can be judged
JUMP = 20.0  # factor between neighboring steps
ZERO_SHARE = 0.05  # of the run
ZERO = 1e-6  # of the base rate: nothing is learned below it
SMALL = 0.01  # of the base rate, or of the run: a difference that does not matter

# Absolute floors; all others are factors of the base rate.
_FLOORS = ("eta_min", "end_learning_rate", "min_lr")
# How long a whole curve is: the first of these that a node has.
_LENGTHS = ("total_steps", "max_iter", "T_max", "decay_batch", "decay_steps", "total_iters", "T_0")


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    Attributes:
        rule: its name, e.g. `jump`.
        step: where it shows first.
        message: the reason and the fix.
        group: index of the parameter group; None where all groups have the same finding.
    """

    rule: str
    step: int
    message: str
    group: int | None = None

    def __str__(self) -> str:
        group = "" if self.group is None else f"group {self.group}, "
        return f"{group}step {self.step}: {self.message}"


def lint_trace(
    node: Any,
    base_lrs: Sequence[float],
    horizon: Horizon,
    trace: Sequence[Sequence[float]] | None = None,
) -> list[Finding]:
    """What looks wrong with the rates that a node produces.

    Args:
        node: dict or DictConfig, as for `build_scheduler`.
        base_lrs: the optimizer's rate of each parameter group.
        horizon: the run's length.
        trace: what `trace_lr` returned, if that was called already.

    Raises:
        ValueError: the node cannot be built.

    >>> node = {"_target_": "oneflow.optim.lr_scheduler.CosineAnnealingLR", "T_max": "50%"}
    >>> for finding in lint_trace(node, [0.1], Horizon(total_steps=1000, steps_per_epoch=100)):
    ...     print(finding)
    step 500: rises again after its minimum; let the fall last to the run's end
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    trace = trace_lr(node, base_lrs, horizon) if trace is None else trace
    found: list[list[Finding]] = []
    for group, (base_lr, rates) in enumerate(zip(base_lrs, trace, strict=True)):
        case = _Case(node, base_lr, horizon, np.asarray(rates, dtype=float), group)
        shaped = horizon.total_steps >= FEWEST_STEPS and np.isfinite(case.rates).all()
        rules = _RULES + _SHAPE_RULES if shaped else _RULES
        findings = {finding.rule: finding for rule in rules for finding in rule(case)}
        hidden = {name for rule in findings for name in _HIDES.get(rule, ())}
        seen = [finding for rule, finding in findings.items() if rule not in hidden]
        found.append(sorted(seen, key=lambda finding: finding.step))
    if all(findings == found[0] for findings in found):
        return found[0]
    return [replace(finding, group=i) for i, group in enumerate(found) for finding in group]


@dataclass(frozen=True)
class _Case:
    """What the rules look at: one parameter group."""

    node: Mapping[str, Any]
    base_lr: float
    horizon: Horizon
    rates: np.ndarray  # one per step
    group: int


def _not_finite(case: _Case) -> Iterator[Finding]:
    bad = np.flatnonzero(~np.isfinite(case.rates))
    if bad.size:
        rate = case.rates[bad[0]]
        yield Finding("not_finite", int(bad[0]), f"the rate is {rate}; mend the schedule")


def _negative(case: _Case) -> Iterator[Finding]:
    below = np.flatnonzero(case.rates < 0)
    if below.size:
        rate = case.rates[below[0]]
        yield Finding("negative", int(below[0]), f"the rate is {rate:.3g}; end the fall earlier")


def _zero_start(case: _Case) -> Iterator[Finding]:
    if case.rates[0] == 0:
        yield Finding("zero_start", 0, "the first rate is 0 and wasted; start the warm-up above 0")


def _zero(case: _Case) -> Iterator[Finding]:
    zero = np.flatnonzero(np.abs(case.rates) <= ZERO * case.base_lr)
    share = zero.size / len(case.rates)
    if share > ZERO_SHARE:
        per_step = any(_class_name(node) == "ExponentialLR" for node in _nodes(case.node))
        fix = "gamma per epoch is 0.95/ep" if per_step else "lengthen the curve"
        rate = "0" if (case.rates[zero] == 0).all() else "near 0"
        yield Finding("zero", int(zero[0]), f"the rate is {rate} for {share:.0%} of the run; {fix}")


def _constant(case: _Case) -> Iterator[Finding]:
    asked = _class_name(case.node) not in ("FixedLR", "ReduceLROnPlateau")
    rate = case.rates[0]
    if asked and (np.abs(case.rates - rate) <= 1e-9 * abs(rate)).all():
        yield Finding("constant", 0, f"the rate is {rate:.3g} throughout; check lengths and floors")


def _floor(case: _Case) -> Iterator[Finding]:
    for node in _nodes(case.node):
        floors = {name: node[name] for name in _FLOORS if node.get(name) is not None}
        if _class_name(node) == "PolynomialLR":
            floors.setdefault("end_learning_rate", 1e-4)  # OneFlow's default
        for name, value in floors.items():
            floor, base = value[case.group] if isinstance(value, list) else value, case.base_lr
            if floor > base:
                reason = f"{name}={floor:g} is absolute, above the base rate {base:g}"
                yield Finding("floor", 0, f"{reason}; lower it")


def _peak(case: _Case) -> Iterator[Finding]:
    highest = case.rates.max()
    # With model_size the base rate is only a scale.
    scaled = any(node.get("model_size") is not None for node in _nodes(case.node))
    if not scaled and highest < 0.95 * case.base_lr:
        reason = f"the peak is {highest:.3g} and not the base rate {case.base_lr:g}"
        yield Finding("peak", int(case.rates.argmax()), f"{reason}; raise the factors")


def _warmup(case: _Case) -> Iterator[Finding]:
    """The rate has never fallen and still rises at the last step."""
    changes = np.diff(case.rates)
    if (changes >= 0).all() and changes[-1] > 0:
        reason = "still rising at the last step"
        yield Finding("warmup", len(changes), f"{reason}; make the warm-up shorter than the run")


def _rises(case: _Case) -> Iterator[Finding]:
    """A gradual rise after a fall, longer than the rise that the run began with.

    A restart rises in one step, so it is not gradual. A cyclic schedule begins with a rise from its
    foot, and none of the later ones is longer. What is left has passed the end of its curve.
    """
    first = 0
    for start, stop in _gradual_rises(case.rates, SMALL * case.base_lr):
        if (case.rates[: start + 1] == case.rates[0]).all():
            first = stop - start
        elif stop - start > first + 1:
            fix = "let the fall last to the run's end"
            yield Finding("rises", start, f"rises again after its minimum; {fix}")
            return


def _gradual_rises(rates: np.ndarray, height: float) -> list[tuple[int, int]]:
    """Stretches in which the rate rises by more than `height`, no single step by half of it."""
    changes = np.diff(rates)
    rising = np.concatenate(([False], changes > 1e-12 * rates.max(), [False]))
    edges = np.flatnonzero(rising[1:] != rising[:-1])
    stretches = [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
    return [
        (start, stop)
        for start, stop in stretches
        if (rise := rates[stop] - rates[start]) > height
        and changes[start:stop].max() < max(rise, height) / 2
    ]


def _jump(case: _Case) -> Iterator[Finding]:
    """A change by a factor that stands out from the changes before and after it.

    Left out are rates that are tiny on both sides, and restarts: up again after a fall, not above
    what the run has already seen.
    """
    before, after = case.rates[:-1], case.rates[1:]
    low, high = np.minimum(before, after), np.maximum(before, after)
    sizes = np.pad(np.abs(after - before), 1)
    alone = sizes[1:-1] > 3 * np.maximum(sizes[:-2], sizes[2:])
    falling = np.concatenate(([False], before[1:] < before[:-1]))
    restart = falling & (after > before) & (after <= np.maximum.accumulate(before) * (1 + SMALL))
    jumps = np.flatnonzero((high > JUMP * low) & (high >= SMALL * case.base_lr) & alone & ~restart)
    if jumps.size:
        old, new = before[jumps[0]], after[jumps[0]]
        fix = "soften it, or rescale the parts' clocks"
        yield Finding("jump", int(jumps[0]) + 1, f"jumps from {old:.3g} to {new:.3g}; {fix}")


def _length(case: _Case) -> Iterator[Finding]:
    """The curve that reaches the end of the run was meant to end elsewhere."""
    total = case.horizon.total_steps
    slack = max(2, round(SMALL * total))
    for node, start in _last_parts(case.node, case.horizon):
        name, steps = _curve_length(node, case.horizon)
        early = total - start - steps
        if name and early < -slack:
            reason = f"{name} ends {-early} steps after the run"
            yield Finding("length", total - 1, f"{reason}; shorten it")
        elif name and early > slack and _falls_once(node):
            reason = f"{name} ends here, {early} steps before the run"
            yield Finding("length", start + steps, f"{reason}; lengthen it")


def _last_parts(
    node: Mapping[str, Any], horizon: Horizon, start: int = 0
) -> Iterator[tuple[Mapping[str, Any], int]]:
    """The simple schedules that are in force at the run's end, and when their clocks started."""
    if "schedulers" not in node and "scheduler_or_optimizer" not in node:
        yield node, start
        return
    children = node.get("schedulers", [])
    if "milestones" in node:
        rescaling = node.get("interval_rescaling", False)
        if rescaling[-1] if isinstance(rescaling, list) else rescaling:
            start += to_steps(node["milestones"][-1], horizon, "milestones")
        children = children[-1:]
    if isinstance(node.get("scheduler_or_optimizer"), Mapping):
        children = [node["scheduler_or_optimizer"]]
        if node.get("warmup_prefix"):
            start += to_steps(node.get("warmup_iters", 5), horizon, "warmup_iters")
    for child in children:
        yield from _last_parts(child, horizon, start)


def _curve_length(node: Mapping[str, Any], horizon: Horizon) -> tuple[str, int]:
    """What says how long a curve is (empty where nothing does), and how many steps that is."""
    if isinstance(node.get("knots"), list):
        return "the last knot", to_steps(node["knots"][-1][0], horizon, "knots")
    for name in _LENGTHS:
        if node.get(name) is not None:
            return name, to_steps(node[name], horizon, name)
    return "", 0


def _falls_once(node: Mapping[str, Any]) -> bool:
    """Whether the curve is one fall that stands still at its end.

    A line up is a warm-up, a last knot may begin a plateau, cycles follow each other, and past its
    end CosineAnnealingLR rises, which another rule says.
    """
    if _class_name(node) == "LinearLR":
        return float(node.get("end_factor", 1.0)) < float(node.get("start_factor", 1 / 3))
    if _class_name(node) == "ConstantLR" or node.get("cycle"):
        return False
    return not {"knots", "T_0", "T_max"} & node.keys()


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """A node and all nodes inside it."""
    children = node if isinstance(node, list) else []
    if isinstance(node, Mapping):
        yield node
        children = list(node.values())
    for child in children:
        yield from _nodes(child)


def _class_name(node: Mapping[str, Any]) -> str:
    return str(node.get("_target_")).rpartition(".")[2]


_Rule = Callable[[_Case], Iterator[Finding]]
_RULES: tuple[_Rule, ...] = (_not_finite, _negative, _floor, _zero_start, _length)
_SHAPE_RULES: tuple[_Rule, ...] = (_constant, _warmup, _peak, _rises, _zero, _jump)

# One trap, one line: what a finding explains is not said again.
_HIDES = {
    "negative": ("jump",),
    "floor": ("constant", "warmup", "rises"),
    "constant": ("peak", "zero_start", "length"),
    "warmup": ("peak", "length"),
    "length": ("zero",),
}
