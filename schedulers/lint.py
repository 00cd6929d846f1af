"""Rules that look for mistakes in a schedule; a finding is one line with step, reason and fix.

The rules look at the trace, so they work for any class; only the intended end of a curve and its
absolute floor are read from the YAML node. Shares of a run are rounded to whole steps, and below
100 steps this rounding decides the shape: the rules about shapes are then skipped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from schedulers.build import is_plateau, trace_lr
from schedulers.durations import Horizon, to_steps

FEWEST_STEPS = 100  # of a run whose shape can be judged
JUMP = 20.0  # factor between neighboring steps
ZERO_SHARE = 0.05  # of the run
ZERO = 1e-6  # of the base rate: nothing is learned below it
SMALL = 0.01  # of the base rate, or of the run: a difference that does not matter

# Absolute floors; all others are factors of the base rate.
_FLOORS = ("eta_min", "end_learning_rate", "min_lr")
# The end of a curve: the first of these durations that a node has.
_ENDS = ("total_steps", "max_iter", "T_max", "decay_batch", "decay_steps", "total_iters", "T_0")


@dataclass(frozen=True)
class Finding:
    """A mistake that a rule found."""

    rule: str  # its name, e.g. `jump`
    step: int  # the first step where it shows
    message: str  # the reason and the fix
    group: int | None = None  # index of the parameter group; None: all have the same findings

    def __str__(self) -> str:
        group = "" if self.group is None else f"group {self.group}, "
        return f"{group}step {self.step}: {self.message}"


def lint_trace(
    node: Any,
    base_lrs: Sequence[float],
    horizon: Horizon,
    trace: Sequence[Sequence[float]] | None = None,
) -> list[Finding]:
    """Return the findings for the learning rates that a node produces.

    The arguments are those of `trace_lr`; `trace` is its result, if it is already there.

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
        rules = RULES | SHAPE_RULES if shaped else RULES
        results = {name: next(rule(case), None) for name, rule in rules.items()}
        hidden = {name for rule in results if results[rule] for name in _HIDES.get(rule, ())}
        seen = [Finding(name, *at) for name, at in results.items() if at and name not in hidden]
        found.append(sorted(seen, key=lambda finding: finding.step))
    if all(findings == found[0] for findings in found):
        return found[0]
    return [replace(finding, group=i) for i, group in enumerate(found) for finding in group]


@dataclass(frozen=True)
class _Case:
    """Input of the rules: one parameter group."""

    node: Mapping[str, Any]
    base_lr: float
    horizon: Horizon
    rates: np.ndarray  # one per step
    group: int


_Results = Iterator[tuple[int, str]]  # step and message; only the first is used


def _not_finite(case: _Case) -> _Results:
    for step in np.flatnonzero(~np.isfinite(case.rates)):
        yield int(step), f"the rate is {case.rates[step]}; correct the schedule"


def _negative(case: _Case) -> _Results:
    for step in np.flatnonzero(case.rates < 0):
        yield int(step), f"the rate is {case.rates[step]:.3g}; end the fall earlier"


def _floor(case: _Case) -> _Results:
    base = case.base_lr
    for node in _nodes(case.node):
        floors = {name: node[name] for name in _FLOORS if node.get(name) is not None}
        if _class_name(node) == "PolynomialLR":
            floors.setdefault("end_learning_rate", 1e-4)  # OneFlow's default
        for name, value in floors.items():
            floor = value[case.group] if isinstance(value, list) else value
            if floor > base:
                yield 0, f"{name}={floor:g} is absolute, above the base rate {base:g}; lower it"


def _zero_start(case: _Case) -> _Results:
    if case.rates[0] == 0:
        yield 0, "the first rate is 0 and wasted; start the warm-up above 0"


def _length(case: _Case) -> _Results:
    """Find a curve that was meant to end elsewhere than the run."""
    total = case.horizon.total_steps
    slack = max(2, round(SMALL * total))
    for node, start in _last_parts(case.node, case.horizon):
        name, steps = _curve_length(node, case.horizon)
        early = total - start - steps
        if name and early < -slack:
            yield total - 1, f"{name} ends {-early} steps after the run; shorten it"
        elif name and early > slack and _falls_once(node):
            yield start + steps, f"{name} ends here, {early} steps before the run; lengthen it"


def _constant(case: _Case) -> _Results:
    rate = case.rates[0]
    meant = is_plateau(case.node) or _class_name(case.node) == "FixedLR"
    if not meant and (np.abs(case.rates - rate) <= 1e-9 * abs(rate)).all():
        yield 0, f"the rate is {rate:.3g} throughout; check lengths and floors"


def _warmup(case: _Case) -> _Results:
    """Find a rate that has never fallen and still rises at the last step."""
    changes = np.diff(case.rates)
    if (changes >= 0).all() and changes[-1] > 0:
        yield len(changes), "still rising at the last step; make the warm-up shorter than the run"


def _peak(case: _Case) -> _Results:
    highest, base = case.rates.max(), case.base_lr
    # With model_size the base rate is only a scale.
    scaled = any(node.get("model_size") is not None for node in _nodes(case.node))
    if not scaled and highest < 0.95 * base:
        reason = f"the peak is {highest:.3g} and not the base rate {base:g}"
        yield int(case.rates.argmax()), f"{reason}; raise the factors"


def _rises(case: _Case) -> _Results:
    """Find a gradual rise after a fall, longer than a rise from the start of the run.

    A restart rises in one step, so it is not gradual. A cyclic schedule starts with a rise, and
    none of the later ones is longer. Any other rise is past the end of its curve.
    """
    first = 0
    for start, stop in _gradual_rises(case.rates, SMALL * case.base_lr):
        if (case.rates[: start + 1] == case.rates[0]).all():
            first = stop - start
        elif stop - start > first + 1:
            yield start, "rises again after its minimum; let the fall last to the run's end"


def _gradual_rises(rates: np.ndarray, height: float) -> list[tuple[int, int]]:
    """Return stretches in which the rate rises by over `height`, no single step by half of it."""
    changes = np.diff(rates)
    rising = np.pad(changes > 1e-12 * rates.max(), 1)
    edges = np.flatnonzero(rising[1:] != rising[:-1])
    return [
        (int(start), int(stop))
        for start, stop in edges.reshape(-1, 2)
        if (rise := rates[stop] - rates[start]) > height
        and changes[start:stop].max() < max(rise, height) / 2
    ]


def _zero(case: _Case) -> _Results:
    zero = np.flatnonzero(np.abs(case.rates) <= ZERO * case.base_lr)
    share = zero.size / len(case.rates)
    if share > ZERO_SHARE:
        per_step = any(_class_name(node) == "ExponentialLR" for node in _nodes(case.node))
        fix = "gamma per epoch is 0.95/ep" if per_step else "lengthen the curve"
        rate = "0" if (case.rates[zero] == 0).all() else "near 0"
        yield int(zero[0]), f"the rate is {rate} for {share:.0%} of the run; {fix}"


def _jump(case: _Case) -> _Results:
    """Find a change by a factor that stands out from the changes before and after it.

    Not counted: rates that are tiny on both sides, and restarts, which rise after a fall and not
    above an earlier rate.
    """
    before, after = case.rates[:-1], case.rates[1:]
    low, high = np.minimum(before, after), np.maximum(before, after)
    sizes = np.pad(np.abs(after - before), 1)
    alone = sizes[1:-1] > 3 * np.maximum(sizes[:-2], sizes[2:])
    falling = np.append(False, before[1:] < before[:-1])
    restart = falling & (after > before) & (after <= np.maximum.accumulate(before) * (1 + SMALL))
    large = (high > JUMP * low) & (high >= SMALL * case.base_lr)
    for step in np.flatnonzero(large & alone & ~restart):
        fix = "soften it, or rescale the parts' clocks"
        yield int(step) + 1, f"jumps from {before[step]:.3g} to {after[step]:.3g}; {fix}"


def _by_name(*rules: Callable[[_Case], _Results]) -> dict[str, Callable[[_Case], _Results]]:
    return {rule.__name__.lstrip("_"): rule for rule in rules}


RULES = _by_name(_not_finite, _negative, _floor, _zero_start, _length)
SHAPE_RULES = _by_name(_constant, _warmup, _peak, _rises, _zero, _jump)
# A finding hides those that it explains.
_HIDES = {
    "negative": ("jump",),
    "floor": ("constant", "warmup", "rises"),
    "constant": ("peak", "zero_start", "length"),
    "warmup": ("peak", "length"),
    "length": ("zero",),
}


def _last_parts(
    node: Mapping[str, Any], horizon: Horizon, start: int = 0
) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield the simple schedules that run at the end, and the steps at which they started."""
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
    """Return the argument that sets a curve's duration, and its steps; "" where there is none."""
    if isinstance(node.get("knots"), list):
        return "the last knot", to_steps(node["knots"][-1][0], horizon, "knots")
    name = next((name for name in _ENDS if node.get(name) is not None), "")
    return name, to_steps(node[name], horizon, name) if name else 0


def _falls_once(node: Mapping[str, Any]) -> bool:
    """Return whether the curve is one fall that stays at its end.

    A line up is a warm-up, a last knot may begin a plateau, cycles follow each other, and past its
    end CosineAnnealingLR rises, which is another rule.
    """
    if _class_name(node) == "LinearLR":
        return float(node.get("end_factor", 1.0)) < float(node.get("start_factor", 1 / 3))
    if _class_name(node) == "ConstantLR" or node.get("cycle"):
        return False
    return not {"knots", "T_0", "T_max"} & node.keys()


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a node and all nodes inside it."""
    if isinstance(node, Mapping):
        yield node
        node = list(node.values())
    for child in node if isinstance(node, list) else []:
        yield from _nodes(child)


def _class_name(node: Mapping[str, Any]) -> str:
    return str(node.get("_target_")).rpartition(".")[2]
