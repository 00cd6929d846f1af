"""Curves as text, for a terminal of 80 columns."""

import math
from collections.abc import Sequence

import plotext

from plots.curves import Curve, line_points, log_floor, nice_ticks

WIDTH, HEIGHT = 80, 20
COLORS = (33, 208, 35, 175, 74, 178)  # of the 256 that terminals know; safe for the color-blind
# Without color the curves differ by what they are drawn with.
MARKERS = ("braille", "*", "o", "+", "x", "#")


def draw_terminal(curves: Sequence[Curve], log: bool = False, color: bool = False) -> str:
    """Draw curves of one horizon over the steps (below) and the epochs (above), as lines of text.

    With `color` the text holds escape codes.
    """
    plotext.clear_figure()
    plotext.plot_size(WIDTH, HEIGHT)
    plotext.theme("clear")
    groups = [(label, rates) for curve in curves for label, rates in curve.groups().items()]
    floor = log_floor(rates for _, rates in groups) if log else None
    legend, drawn = [], []
    for index, (label, rates) in enumerate(groups):
        marker = "braille" if color else MARKERS[index % len(MARKERS)]
        paint = COLORS[index % len(COLORS)] if color else "default"
        steps, values = line_points(rates, floor)
        drawn += values
        heights = [math.log10(value) for value in values] if log else values
        plotext.plot(steps, heights, marker=marker, color=paint)
        sample = "⠒⠒" if marker == "braille" else marker * 2
        name = f"{sample} {label}"
        legend.append(plotext.colorize(name, paint) if color else name)
    _draw_rate_axis(min(drawn), max(drawn), log)
    _draw_step_axes(curves[0].horizon.total_steps, curves[0].horizon.steps_per_epoch)
    text = str(plotext.build()).rstrip("\n")
    if not color:
        text = "\n".join(map(str.rstrip, plotext.uncolorize(text).splitlines()))
    return "   ".join(legend) + "\n" + text if len(groups) > 1 else text


def _draw_rate_axis(low: float, high: float, log: bool) -> None:
    if log:
        low, high = math.log10(low), math.log10(high)
        low = min(low, high - 1)
        ticks = [float(tick) for tick in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
        plotext.yticks(ticks, [f"1e{tick:.0f}" for tick in ticks])
    else:
        low, high = min(low, 0.0), max(high, 0.0)
        high = high if high > low else 1.0
        ticks = nice_ticks(low, high * 1.001)  # the peak may lie just below a round number
        plotext.yticks(ticks, [f"{tick:.4g}" for tick in ticks])
    plotext.ylim(low, max(high, ticks[-1]))


def _draw_step_axes(total_steps: int, steps_per_epoch: int) -> None:
    plotext.scatter([0], [-1e9], xside="upper")  # an axis needs a point, were it out of sight
    lengths = {"lower": ("step", total_steps), "upper": ("epoch", total_steps / steps_per_epoch)}
    for side, (label, length) in lengths.items():
        ticks = nice_ticks(0, length)
        plotext.xlim(0, length, xside=side)
        plotext.xticks(ticks, [f"{tick:g}" for tick in ticks], xside=side)
        plotext.xlabel(label, xside=side)
