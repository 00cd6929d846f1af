"""Made-up curves whose points a person can name."""

import math

from plots.curves import Curve
from schedulers import Horizon

LINE = [1 - t / 100 for t in range(100)]
STAIRS = [1.0] * 40 + [0.1] * 40 + [0.01] * 20
TRAPEZOID = [min(1.0, t / 20, (100 - t) / 40) for t in range(100)]


def cosine(steps, cycle):
    return [0.05 * (1 + math.cos(math.pi * (t % cycle) / cycle)) for t in range(steps)]


def curve(rates, name="x", **settings):
    return Curve(name, [rates], [0.1], Horizon(len(rates), 10), **settings)
