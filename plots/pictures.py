"""Charts of learning rates, still and moving, and of a range test; only here is matplotlib."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from plots.curves import COLORS, MOST_MARKS, Curve, find_corners, line_points, log_floor

if TYPE_CHECKING:
    from scripts.lr_range_test.__main__ import RangeTest

DASHES = ("-", "--", "-.", ":")  # a second way to tell curves apart, and for more than six
INK, GRAY, PALE, ALARM = "#222222", "#666666", "#D9D9D9", "#B34700"

# Inches. At 120 dots per inch a picture is 960 pixels wide: readable when shown at 480.
WIDTH, PLOT, LEFT, RIGHT, TITLE, ROW, EPOCHS, STEPS = 8.0, 3.0, 0.95, 0.3, 0.42, 0.27, 0.55, 0.65
PICTURE_DPI, ANIMATION_DPI = 120, 72
LEGEND_COLUMNS, RULE_COLUMNS = 3, 2

FRAMES, FRAME_MS, PAUSE_MS = 50, 60, 2500

STYLE = {
    "font.size": 13,
    "axes.edgecolor": GRAY,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.axisbelow": True,
    "svg.hashsalt": "learning rates",  # the same picture is the same file
}


@dataclass(frozen=True)
class DrawnLine:
    """A line on a chart: all its rates, the few points that it was drawn with, and itself."""

    rates: Sequence[float]
    points: tuple[list[int], list[float]]
    artist: Line2D


def write_picture(path: Path, curves: Sequence[Curve], title: str, log: bool = False) -> None:
    """Draw the curves to a png or svg file."""
    with matplotlib.rc_context(STYLE):
        axes, lines = draw_chart(curves, title, log, PICTURE_DPI)
        if len(lines) == 1:
            axes.fill_between(*lines[0].points, color=COLORS[0], alpha=0.1, linewidth=0)
        _save(axes, path)


def _save(axes: Axes, path: Path) -> None:
    if path.suffix == ".svg":
        axes.figure.savefig(path, metadata={"Date": None})
        return
    axes.figure.canvas.draw()
    picture = _image(axes)  # with a palette of its own it takes a third of the bytes
    picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


def write_animation(path: Path, curves: Sequence[Curve], title: str, log: bool = False) -> None:
    """Draw the curves step by step to a gif file; the step, the epoch and the rate are told.

    All frames share the colors of the last one, which has every color in it.
    """
    with matplotlib.rc_context(STYLE):
        frames = list(_frames(*draw_chart(curves, title, log, ANIMATION_DPI), curves[0]))
    palette = frames[-1].quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    images = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [FRAME_MS] * (len(images) - 1) + [PAUSE_MS]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def write_range_test(path: Path, found: "RangeTest") -> None:
    """Draw a range test's losses over its rates to a png or svg file, with each rule's answer."""
    silent = [f"{name}: {told}" for name, told in found.suggestions.items() if _is_text(told)]
    footer = [(text, GRAY) for text in ([found.stopped] if found.stopped else []) + silent]
    with matplotlib.rc_context(STYLE):
        answers = len(found.suggestions) - len(silent)
        axes = _lay_out(found.title, -(-answers // RULE_COLUMNS), footer, PICTURE_DPI, top=0.2)
        axes.plot(found.rates, found.losses, color=GRAY, alpha=0.4, linewidth=1, label="_losses")
        axes.plot(found.rates, found.smoothed, color=INK, linewidth=2.5, label="_smoothed")
        for index, (name, lr) in enumerate(found.suggestions.items()):
            if not _is_text(lr):
                _mark_answer(axes, found, name, lr, COLORS[index])
        axes.set_xscale("log" if found.mode == "exponential" else "linear")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        low, first = min(found.losses), found.losses[0]
        fall = first - low or 1.0
        axes.set_ylim(low - 0.1 * fall, first + 0.5 * fall)
        axes.grid(axis="y", color=PALE, linewidth=0.8)
        if answers:
            _add_legend(axes, RULE_COLUMNS)
        _save(axes, path)


def _is_text(answer: float | str) -> bool:
    return isinstance(answer, str)


def _mark_answer(axes: Axes, found: "RangeTest", name: str, lr: float, color: str) -> None:
    loss = float(np.interp(lr, found.rates, found.smoothed))
    axes.axvline(lr, color=color, linewidth=1.2, zorder=1)
    axes.plot([lr], [loss], "o", color=color, markersize=9, zorder=4, label=f"{name}: lr {lr:.2g}")


def _image(axes: Axes) -> Image.Image:
    """What is drawn on the chart's canvas now."""
    pixels: np.ndarray = np.asarray(axes.figure.canvas.buffer_rgba())
    return Image.fromarray(pixels[..., :3].copy())


def _frames(axes: Axes, lines: list[DrawnLine], curve: Curve) -> Iterator[Image.Image]:
    """The pictures of an animation: only what moves is drawn again, over a saved background."""
    canvas = axes.figure.canvas
    heads = [
        axes.plot([], [], "o", color=line.artist.get_color(), markersize=8, clip_on=False)[0]
        for line in lines
    ]
    told = axes.figure.text(
        1 - RIGHT / WIDTH, axes.figure.texts[0].get_position()[1], "", ha="right", va="center"
    )
    for line in lines:
        line.artist.set_data([], [])
    canvas.draw()
    background = canvas.copy_from_bbox(axes.figure.bbox)
    last = max(len(line.rates) for line in lines) - 1
    for step in dict.fromkeys(np.linspace(0, last, FRAMES).round().astype(int).tolist()):
        canvas.restore_region(background)
        for line, head in zip(lines, heads, strict=True):
            _grow(line, head, min(step, len(line.rates) - 1))
            axes.draw_artist(line.artist)
            axes.draw_artist(head)
        rate = f"   lr {lines[0].rates[step]:.3g}" if len(lines) == 1 else ""
        epoch = step / curve.horizon.steps_per_epoch
        told.set_text(f"step {step:,}   epoch {epoch:.1f}{rate}")
        axes.figure.draw_artist(told)
        yield _image(axes)


def _grow(line: DrawnLine, head: Line2D, step: int) -> None:
    steps, values = line.points
    here = float(np.interp(step, steps, values))
    done = [index for index, at in enumerate(steps) if at < step]
    line.artist.set_data([*(steps[i] for i in done), step], [*(values[i] for i in done), here])
    head.set_data([step], [here])


def draw_chart(
    curves: Sequence[Curve], title: str, log: bool, dpi: int
) -> tuple[Axes, list[DrawnLine]]:
    """Draw every distinct group of every curve; title and legend above, notes and lint below.

    Args:
        curves: all of one horizon.
        title: the line above.
        log: a logarithmic rate axis.
        dpi: dots per inch; the chart is 8 inches wide.
    """
    groups = [(curve, label, rates) for curve in curves for label, rates in curve.groups().items()]
    footer = [(f"Note: {curve.note}", GRAY) for curve in curves if curve.note]
    footer += [(f"Lint: {text}", ALARM) for text in _findings(curves)]
    legend_rows = -(-len(groups) // LEGEND_COLUMNS) if len(groups) > 1 else 0
    axes = _lay_out(title, legend_rows, footer, dpi)
    floor = log_floor(curves) if log else None
    lines = []
    for index, (curve, label, rates) in enumerate(groups):
        points = line_points(rates, floor)
        (artist,) = axes.plot(*points, label=label, **_line_style(index, curve, curves))
        lines.append(DrawnLine(rates, points, artist))
    _dress_axes(axes, curves[0], floor)
    if len(curves) == 1:
        _mark_corners(axes, lines[0])
    if legend_rows:
        _add_legend(axes, LEGEND_COLUMNS)
    return axes, lines


def _add_legend(axes: Axes, columns: int) -> None:
    place = (LEFT / WIDTH - 0.012, 1 - (TITLE - 0.06) / axes.figure.get_figheight())
    axes.figure.legend(
        loc="upper left",
        bbox_to_anchor=place,
        ncols=columns,
        frameon=False,
        borderpad=0.2,
        labelspacing=0.2,
    )


def _lay_out(
    title: str, legend_rows: int, footer: list[tuple[str, str]], dpi: int, top: float = EPOCHS
) -> Axes:
    """A figure whose height fits what stands above and below the plot; returns its axes."""
    above, below = TITLE + legend_rows * ROW + top, STEPS + len(footer) * ROW
    height = above + PLOT + below
    figure = Figure(figsize=(WIDTH, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    size = (LEFT / WIDTH, below / height, 1 - (LEFT + RIGHT) / WIDTH, PLOT / height)
    axes = figure.add_axes(size)
    top = 1 - TITLE / 2 / height
    figure.text(LEFT / WIDTH, top, title, color=INK, weight="bold", va="center", fontsize=15)
    for row, (text, color) in enumerate(reversed(footer)):
        figure.text(0.02, (row + 0.45) * ROW / height, text, color=color, va="center", fontsize=11)
    return axes


def _findings(curves: Sequence[Curve]) -> list[str]:
    several = len(curves) > 1
    return [f"{c.name}: {text}" if several else text for c in curves for text in c.findings]


def _line_style(index: int, curve: Curve, curves: Sequence[Curve]) -> dict[str, Any]:
    if curve.dashed:
        return {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.5, "zorder": 3}
    wide = any(other.dashed for other in curves)
    return {
        "color": COLORS[index % len(COLORS)],
        "linestyle": DASHES[index // len(COLORS) % len(DASHES)],
        "linewidth": 5 if wide else 2.5,
        "alpha": 0.6 if wide else 1.0,
        "solid_joinstyle": "miter",
    }


def _dress_axes(axes: Axes, curve: Curve, floor: float | None) -> None:
    """Steps below, epochs above, the rate at the left, the base rate as a thin line."""
    total, per_epoch = curve.horizon.total_steps, curve.horizon.steps_per_epoch
    axes.set_xlim(0, total)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    epochs = axes.secondary_xaxis(
        "top", functions=(lambda step: step / per_epoch, lambda epoch: epoch * per_epoch)
    )
    epochs.set_xlabel("epoch")
    epochs.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_ylabel("learning rate")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    if floor is not None:
        axes.set_yscale("log")
        axes.set_ylim(bottom=floor * 0.8)
        axes.yaxis.set_major_locator(LogLocator())
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        low, high = min(axes.dataLim.y0, 0.0), max(axes.dataLim.y1, 0.0)
        margin = 0.05 * (high - low) or 1.0
        axes.set_ylim(low - (margin if low < 0 else 0), high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.4g}"))
    for base_lr in set(curve.base_lrs):
        axes.axhline(base_lr, color=GRAY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)


def _mark_corners(axes: Axes, line: DrawnLine) -> None:
    """An arrowhead and a dotted line at each jump, up or down; a ring where the slope bends."""
    corners = find_corners(line.rates)
    if len(corners) > MOST_MARKS:
        return
    heads = {"up": "^", "down": "v"}
    for step, kind in corners.items():
        if kind == "bend":
            rate = float(np.interp(step, *line.points))
            axes.plot(step, rate, "o", markersize=6, color="white", markeredgecolor=GRAY, zorder=4)
        else:
            axes.axvline(step, color=GRAY, linewidth=1.0, linestyle=":", zorder=1)
            place = axes.get_xaxis_transform()
            axes.plot(step, 0.975, heads[kind], color=GRAY, markersize=6, transform=place)
