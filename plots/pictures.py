"""Charts of learning rates as pictures and animations, drawn by matplotlib."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from plots.curves import COLORS, Curve, line_points, log_floor

DASHES = ("-", "--", "-.", ":")  # a second way to tell curves apart, and for more than six
INK, GRAY, PALE, ALARM = "#222222", "#666666", "#D9D9D9", "#B34700"

# Inches. At 120 dots per inch a picture is 960 pixels wide: readable when shown at 480.
WIDTH, PLOT, LEFT, RIGHT, TITLE, ROW, EPOCHS, STEPS = 8.0, 3.0, 0.95, 0.3, 0.42, 0.27, 0.55, 0.65
PICTURE_DPI, ANIMATION_DPI = 120, 72
LEGEND_COLUMNS = 3

FRAMES, FRAME_MS, PAUSE_MS = 50, 60, 2500

STYLE = {
    "font.size": 13,
    "axes.edgecolor": GRAY,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.prop_cycle": cycler(linestyle=DASHES) * cycler(color=COLORS),
    "grid.color": PALE,
    "lines.linewidth": 2.5,
    "lines.solid_joinstyle": "miter",
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.hashsalt": "learning rates",  # the same picture is the same file
}
PLANNED = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.5, "zorder": 3}
APPLIED = {"linewidth": 5, "alpha": 0.6}  # seen on both sides of a planned curve


def write_picture(path: Path, curves: Sequence[Curve], title: str, log: bool = False) -> None:
    """Draw the curves to a png or svg file."""
    with matplotlib.rc_context(STYLE):
        axes, lines = draw_chart(curves, title, log, PICTURE_DPI)
        if len(lines) == 1:
            axes.fill_between(*lines[0].get_data(), color=COLORS[0], alpha=0.1, linewidth=0)
        save_chart(axes, path)


def write_animation(path: Path, curves: Sequence[Curve], title: str, log: bool = False) -> None:
    """Draw the curves step by step to a gif file, with the step, the epoch and the rate above."""
    with matplotlib.rc_context(STYLE):
        frames = list(_draw_frames(*draw_chart(curves, title, log, ANIMATION_DPI), curves[0]))
    # All frames share the colors of the last one, which has every color in it.
    palette = frames[-1].quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    images = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [FRAME_MS] * (len(images) - 1) + [PAUSE_MS]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def draw_chart(
    curves: Sequence[Curve], title: str, log: bool, dpi: int
) -> tuple[Axes, list[Line2D]]:
    """Draw every distinct group of curves of one horizon; notes and lint stand below.

    The chart is 8 inches wide. Returns the axes and the curves' lines.
    """
    groups = [(curve, label, rates) for curve in curves for label, rates in curve.groups().items()]
    footer = [(f"Note: {curve.note}", GRAY) for curve in curves if curve.note]
    for curve in curves:
        name = f"{curve.name}: " if len(curves) > 1 else ""
        footer += [(f"Lint: {name}{text}", ALARM) for text in curve.findings]
    legend_rows = -(-len(groups) // LEGEND_COLUMNS) if len(groups) > 1 else 0
    axes = lay_out_axes(title, legend_rows, footer, dpi)
    floor = log_floor(rates for _, _, rates in groups) if log else None
    lines: list[Line2D] = []
    solid: dict[str, Any] = APPLIED if any(curve.dashed for curve in curves) else {}
    for curve, label, rates in groups:
        style = PLANNED if curve.dashed else solid
        lines += axes.plot(*line_points(rates, floor), label=label, **style)
    _draw_axes(axes, curves[0], floor)
    if legend_rows:
        add_legend(axes, LEGEND_COLUMNS)
    return axes, lines


def lay_out_axes(
    title: str, legend_rows: int, footer: list[tuple[str, str]], dpi: int, top: float = EPOCHS
) -> Axes:
    """Return the axes of a new figure whose height fits what stands above and below the plot.

    `footer`: text and color of each line below; `top`: inches between the legend and the plot.
    """
    above, below = TITLE + legend_rows * ROW + top, STEPS + len(footer) * ROW
    height = above + PLOT + below
    figure = Figure(figsize=(WIDTH, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    left, width = LEFT / WIDTH, 1 - (LEFT + RIGHT) / WIDTH
    axes = figure.add_axes((left, below / height, width, PLOT / height))
    place = (left, 1 - TITLE / 2 / height)
    figure.text(*place, title, color=INK, weight="bold", va="center", fontsize=15)
    for row, (text, color) in enumerate(reversed(footer)):
        figure.text(0.02, (row + 0.45) * ROW / height, text, color=color, va="center", fontsize=11)
    return axes


def add_legend(axes: Axes, columns: int) -> None:
    """Put the legend under the title."""
    axes.figure.legend(
        loc="upper left",
        bbox_to_anchor=(LEFT / WIDTH - 0.012, 1 - (TITLE - 0.06) / axes.figure.get_figheight()),
        ncols=columns,
        frameon=False,
        borderpad=0.2,
        labelspacing=0.2,
    )


def save_chart(axes: Axes, path: Path) -> None:
    """Write a chart to a png or svg file."""
    if path.suffix == ".svg":
        axes.figure.savefig(path, metadata={"Date": None})
    else:  # with a palette a picture takes a third of the bytes
        axes.figure.canvas.draw()
        picture = _image(axes).quantize(256, method=Image.Quantize.FASTOCTREE)
        picture.save(path, optimize=True)


def _image(axes: Axes) -> Image.Image:
    pixels: np.ndarray = np.asarray(axes.figure.canvas.buffer_rgba())
    return Image.fromarray(pixels[..., :3].copy())


def _draw_frames(axes: Axes, lines: list[Line2D], curve: Curve) -> Iterator[Image.Image]:
    """Yield the pictures of an animation: only what moves is drawn again, over a background."""
    figure, canvas = axes.figure, axes.figure.canvas
    points = [line.get_data() for line in lines]
    height = figure.texts[0].get_position()[1]
    caption = figure.text(1 - RIGHT / WIDTH, height, "", ha="right", va="center")
    heads = []
    for line in lines:
        style = {"color": line.get_color(), "markersize": 8, "clip_on": False}
        heads += axes.plot([], [], "o", **style)
        line.set_data([], [])
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    last = max(int(steps[-1]) for steps, _ in points)
    for step in dict.fromkeys(np.linspace(0, last, FRAMES).round().astype(int).tolist()):
        canvas.restore_region(background)
        for line, head, (steps, rates) in zip(lines, heads, points, strict=True):
            here = min(step, steps[-1])
            rate = float(np.interp(here, steps, rates))
            done = np.searchsorted(steps, here)
            line.set_data([*steps[:done], here], [*rates[:done], rate])
            head.set_data([here], [rate])
            axes.draw_artist(line)
            axes.draw_artist(head)
        shown = f"   lr {curve.rates[0][step]:.3g}" if len(lines) == 1 else ""
        epoch = step / curve.horizon.steps_per_epoch
        caption.set_text(f"step {step:,}   epoch {epoch:.1f}{shown}")
        figure.draw_artist(caption)
        yield _image(axes)


def _draw_axes(axes: Axes, curve: Curve, floor: float | None) -> None:
    """Draw the steps below, epochs above, the rate at the left, the base rate as a thin line."""
    total, per_epoch = curve.horizon.total_steps, curve.horizon.steps_per_epoch
    axes.set_xlim(0, total)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    units = (lambda step: step / per_epoch, lambda epoch: epoch * per_epoch)
    epochs = axes.secondary_xaxis("top", functions=units)
    epochs.set_xlabel("epoch")
    epochs.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_ylabel("learning rate")
    if floor is not None:
        axes.set_yscale("log")
        axes.set_ylim(bottom=floor * 0.8)
        axes.yaxis.set_major_locator(LogLocator())
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0 if axes.dataLim.y0 >= 0 else None)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.4g}"))
    for base_lr in set(curve.base_lrs):
        axes.axhline(base_lr, color=GRAY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
