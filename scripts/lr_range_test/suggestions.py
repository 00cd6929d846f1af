"""Which learning rates a range test suggests: four known rules over its smoothed losses.

Smith 2015, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186, section 3.3:
train for some epochs while the rate rises, and read off where the accuracy begins to rise and where
it collapses. The rules below pick one rate from such a curve. They follow their published
descriptions, and none of them knows which rate trains best.
"""

from collections.abc import Callable, Sequence

import numpy as np

# fastai's ramp has 100 steps over eight decades. Its slide rule compares slopes 15 steps apart and
# calls 0.005 per step a difference. Per decade of the rate, both hold for any ramp.
SLIDE_DECADES = 15 * 8 / 99
SLIDE_DIFFERENCE = 0.005 * 99 / 8

LOWER_START, HIGHER_END = "try a lower range_test.start_lr", "try a higher range_test.end_lr"


def smooth(losses: Sequence[float], smoothing: float) -> list[float]:
    """Return the exponential average without the bias of its start (Kingma & Ba 2015, section 3).

    `a[k] = s a[k-1] + (1 - s) loss[k]` from `a[-1] = 0`, and the result is `a[k] / (1 - s^(k+1))`.

    >>> smooth([4.0, 2.0, 2.0], 0.5)
    [4.0, 2.6666666666666665, 2.2857142857142856]
    """
    average, smoothed = 0.0, []
    for count, loss in enumerate(losses, 1):
        average = smoothing * average + (1 - smoothing) * loss
        smoothed.append(average / (1 - smoothing**count))
    return smoothed


def suggest(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], skip: int = 0
) -> dict[str, float | str]:
    """Return the answer of each rule: a rate, or the reason why it has none.

    Args:
        rates: of each step, rising.
        losses: of each step's batch, all finite; `smoothed`, their average, is what the rules read.
        skip: how many steps at the start the rules ignore.
    """
    if len(rates) - skip < 5:
        return dict.fromkeys(RULES, f"it ended before the rules could begin; {LOWER_START}")
    # A single loss's standard deviation around the trend, from differences of neighbors: their
    # median size is 0.6745 times their deviation, which is sqrt(2) times one loss's. A few jumps do
    # not move a median. The fall must be three times that.
    margin = 3 * float(np.median(np.abs(np.diff(losses))) / (0.6745 * 2**0.5))
    if losses[0] - min(smoothed) <= margin:
        advice = LOWER_START if max(smoothed) - losses[0] > margin else HIGHER_END
        return dict.fromkeys(RULES, f"the loss did not fall clearly; {advice}")
    x, y = np.array(rates[skip:]), np.array(smoothed[skip:])
    return {name: rule(x, y) for name, rule in RULES.items()}


def steepest(rates: np.ndarray, losses: np.ndarray) -> float:
    """Return the rate where the loss falls fastest: the lowest slope over the rate's logarithm.

    fastai's `steep`; Gugger 2018, "How do you find a good learning rate". The slope is a central
    difference.
    """
    return float(rates[np.gradient(losses, np.log10(rates)).argmin()])


def minimum_tenth(rates: np.ndarray, losses: np.ndarray) -> float | str:
    """Return a tenth of the rate at which the loss is lowest; fastai's `minimum`."""
    lowest = int(losses.argmin())
    if lowest == len(losses) - 1:
        return f"the loss is lowest at the last step; {HIGHER_END}"
    return float(rates[lowest] / 10)


def valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """Return the rate two thirds along the longest valley; fastai's default, from ESRI.

    The longest decreasing subsequence of the losses, n of them, ends at some step: the valley is
    that step and the n - 1 before it. (fastai's documentation says two thirds; its code takes the
    middle, a little lower.)
    """
    lengths = np.zeros(len(losses), int)
    for k, loss in enumerate(losses):
        lengths[k] = 1 + lengths[:k][losses[:k] > loss].max(initial=0)
    end, steps = int(lengths.argmax()), int(lengths.max()) - 1
    return float(rates[end - steps + round(2 * steps / 3)])


def slide(rates: np.ndarray, losses: np.ndarray) -> float | str:
    """Return the rate before the climb at the end, where the slope settles.

    fastai's `slide`, by Andrew Chang (Novetta). An interval, 1.2 decades of the rate wide, slides
    down from the end until the slopes at its two ends are within 0.06 per decade of each other; the
    answer is its lower end one place before.
    """
    logs = np.log10(rates)
    slopes = np.gradient(losses, logs)
    rights = np.flatnonzero(logs - logs[0] >= SLIDE_DECADES - 1e-9)[::-1]
    lefts = np.abs(logs - logs[rights, None] + SLIDE_DECADES).argmin(axis=1)
    settled = np.flatnonzero(np.abs(slopes[rights] - slopes[lefts]) <= SLIDE_DIFFERENCE)
    if not len(settled):
        return f"the slope changes all along; {LOWER_START}"
    if settled[0] == 0:
        return f"the slope is the same at the end as before; {HIGHER_END}"
    return float(rates[lefts[settled[0] - 1]])


RULES: dict[str, Callable[[np.ndarray, np.ndarray], float | str]] = {
    "steepest": steepest,
    "minimum/10": minimum_tenth,
    "valley": valley,
    "slide": slide,
}
