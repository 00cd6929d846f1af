"""The picture of a range test: the loss over the learning rate, with each rule's answer."""

from pathlib import Path

import matplotlib
import numpy as np

from plots.curves import COLORS
from plots.pictures import GRAY, INK, PICTURE_DPI, STYLE, add_legend, lay_out_axes, save_chart
from scripts.lr_range_test.losses import LossCurve

LEGEND_COLUMNS = 2


def write_range_test(
    path: Path, title: str, curve: LossCurve, answers: dict[str, float | str]
) -> None:
    """Draw the losses over the rates to a png or svg file, with the rules' answers."""
    found = {name: lr for name, lr in answers.items() if isinstance(lr, float)}
    footer = [curve.stopped] if curve.stopped else []
    footer += [f"{name}: {text}" for name, text in answers.items() if name not in found]
    with matplotlib.rc_context(STYLE):
        lines = [(text, GRAY) for text in footer]
        axes = lay_out_axes(title, -(-len(found) // LEGEND_COLUMNS), lines, PICTURE_DPI, top=0.2)
        axes.plot(curve.rates, curve.losses, color=GRAY, alpha=0.4, linewidth=1)
        axes.plot(curve.rates, curve.smoothed, color=INK)
        for color, (name, lr) in zip(COLORS, answers.items(), strict=False):
            if name in found:
                loss = np.interp(lr, curve.rates, curve.smoothed)
                axes.axvline(lr, color=color, linewidth=1.2, zorder=1)
                text = f"{name}: lr {lr:.2g}"
                axes.plot([lr], [loss], "o", color=color, markersize=9, zorder=4, label=text)
        axes.set_xscale("log" if curve.settings.mode == "exponential" else "linear")
        axes.set(xlabel="learning rate", ylabel="training loss")
        low, first = min(curve.losses), curve.losses[0]
        fall = first - low or 1.0
        axes.set_ylim(low - 0.1 * fall, first + 0.5 * fall)
        if found:
            add_legend(axes, LEGEND_COLUMNS)
        save_chart(axes, path)
