"""See a schedule before it is trained, or beside what a run applied.

    python -m scripts.preview scheduler=one_cycle
    python -m scripts.preview scheduler=step preview.out=step.png
    python -m scripts.preview preview.compare=[step,cosine_annealing] preview.log=true
    python -m scripts.preview outputs/RUN
    python -m scripts.preview --gallery

The curve is the trace that training follows, from the same configuration. OneFlow, matplotlib and
TensorBoard are imported only where they are needed.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig

from plots.curves import Curve, write_csv, write_json
from runs.build import base_lrs, build_horizon
from runs.command_line import run_command
from runs.config import read_run_config
from runs.folder import read_applied, read_metrics, read_summary
from runs.summary import choice
from runs.targets import check_targets

if TYPE_CHECKING:
    from schedulers import Horizon

GALLERY = Path("docs/schedules")
SUFFIXES = (".png", ".svg", ".gif", ".csv", ".json")


def preview(config: DictConfig) -> None:
    """Draw what `config.preview` asks for.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
    """
    import engine  # noqa: F401  (prepares the process for OneFlow)

    settings = config.preview
    wanted = [key for key in ("gallery", "run", "compare") if settings[key]]
    if len(wanted) > 1:
        raise ValueError(f"preview.{' and preview.'.join(wanted)} do not go together: give one.")
    if settings.gallery:
        draw_gallery(config, Path(settings.out or GALLERY))
        return
    out = Path(settings.out) if settings.out else None
    if out and out.suffix not in SUFFIXES:
        raise ValueError(f"preview.out={out} must end in {', '.join(SUFFIXES[:-1])} or .json.")
    if settings.run:
        curves, title = read_run(Path(settings.run), config.allow_targets)
    elif settings.compare is not None:
        curves = [plan(config, name) for name in compared_names(settings.compare)]
        title = f"{len(curves)} schedules"
    else:
        curves = [plan(config, choice("scheduler", config))]
        title = curves[0].name
    tell(curves, title, settings.log)
    if out:
        write(out, curves, title, settings.log)
        print(f"Written: {out}")
    if config.get("lint") == "error" and any(curve.findings for curve in curves):
        raise ValueError("lint=error: the schedule has the findings above.")


def plan(config: DictConfig, name: str) -> Curve:
    """The curve of a schedule under a configuration: the chosen one, or another by its name."""
    from schedulers import trace_lr
    from schedulers.lint import lint_trace

    node, horizon = find_node(config, name), preview_horizon(config)
    base = base_lrs(config.optimizer)
    metrics, note = plateau_metrics(config, node, horizon)
    trace = trace_lr(node, base, horizon, metrics)
    # YAML and the command line read a bare `off` as false.
    wanted = config.get("lint") not in ("off", False)
    findings = lint_trace(node, base, horizon, trace) if wanted else []
    return Curve(name, trace, base, horizon, [str(finding) for finding in findings], note)


def compared_names(value: object) -> list[str]:
    """The names in preview.compare.

    Raises:
        ValueError: it is no list, or there is no such schedule.
    """
    known = schedule_names()
    if not isinstance(value, ListConfig) or not value:
        raise ValueError(f"preview.compare={value} must be a list of names, as [step,rex].")
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise ValueError(
                f"preview.compare: there is no scheduler {name!r}; there are {', '.join(known)}."
                + (f" Did you mean {near[0]}?" if near else "")
            )
    return list(value)


def find_node(config: DictConfig, name: str) -> DictConfig:
    """The scheduler node of the configuration, or that of a YAML in the scheduler group."""
    if name == choice("scheduler", config):
        return config.scheduler
    other = config.copy()
    other.scheduler = compose("config", [f"scheduler={name}"]).scheduler
    return other.scheduler


def schedule_names() -> list[str]:
    """The names that scheduler=NAME accepts."""
    return list(GlobalHydra.instance().config_loader().get_group_options("scheduler"))


def preview_horizon(config: DictConfig) -> "Horizon":
    """The run's length, or what preview.total_steps and preview.steps_per_epoch make of it."""
    from schedulers import Horizon

    total_steps, steps_per_epoch = config.preview.total_steps, config.preview.steps_per_epoch
    for name in ("total_steps", "steps_per_epoch"):
        steps = config.preview[name]
        if steps is not None and (not isinstance(steps, int) or steps < 1):
            raise ValueError(f"preview.{name}={steps} must be a whole number of at least 1.")
    steps_per_epoch = steps_per_epoch or build_horizon(config).steps_per_epoch
    return Horizon(total_steps or config.epochs * steps_per_epoch, steps_per_epoch)


def plateau_metrics(
    config: DictConfig, node: DictConfig, horizon: "Horizon"
) -> tuple[dict[int, float] | None, str]:
    """The metric that a ReduceLROnPlateau is previewed on, and a line that says which it is."""
    from schedulers import is_plateau, made_up_metrics, to_steps

    if not is_plateau(node):
        return None, ""
    mode, folder = node.get("mode", "min"), config.preview.metrics
    if folder:
        return read_metrics(Path(folder), mode), f"the metric is that of {folder}"
    every = to_steps(config.trainer.eval_every, horizon, "trainer.eval_every", minimum=1)
    return made_up_metrics(mode, horizon.total_steps, every), (
        f"made-up metric, 10% better every {every} steps, no better after 40% of the run"
    )


def read_run(folder: Path, allow_targets: Sequence[str]) -> tuple[list[Curve], str]:
    """The rates that a run applied and those that its configuration plans, and a title."""
    from schedulers import is_plateau, trace_lr

    config = read_run_config(folder)
    check_targets(config, allow_targets)  # the run may be a stranger's
    horizon, base = build_horizon(config), base_lrs(config.optimizer)
    metrics = None
    if is_plateau(config.scheduler):
        metrics = read_metrics(folder, config.scheduler.get("mode", "min"))
    planned = trace_lr(config.scheduler, base, horizon, metrics)
    applied = read_applied(folder)
    steps = range(max(applied[0]) + 1)
    rates = [np.interp(steps, *zip(*sorted(group.items()), strict=True)) for group in applied]
    note = compare_rates(planned, applied)
    check = read_summary(folder).get("lr_check")
    if isinstance(check, dict) and {"mismatches", "steps"} <= check.keys():
        note += f"; the run's own check: {check['mismatches']} of {check['steps']} differ"
    return [
        Curve("applied", [group.tolist() for group in rates], base, horizon, note=note),
        Curve("planned", planned, base, horizon, dashed=True),
    ], f"Run {folder.resolve().name}"


def compare_rates(planned: Sequence[Sequence[float]], applied: Sequence[dict[int, float]]) -> str:
    """How many of the recorded rates are as planned, once both are 32-bit floats."""
    steps = sorted(applied[0])
    different = [
        step
        for step in steps
        if any(
            step >= len(plan) or np.float32(plan[step]) != np.float32(group.get(step, np.nan))
            for plan, group in zip(planned, applied, strict=True)
        )
    ]
    text = f"{len(steps) - len(different)} of {len(steps)} recorded rates are as planned"
    return text + (f", the first other one is at step {different[0]}" if different else "")


def tell(curves: Sequence[Curve], title: str, log: bool) -> None:
    """Print the curves at 80 columns, their figures, notes and findings."""
    from plots.terminal import draw_terminal

    horizon = curves[0].horizon
    epochs, per_epoch = horizon.total_steps / horizon.steps_per_epoch, horizon.steps_per_epoch
    print(f"{title}: {epochs:.4g} epochs of {per_epoch:,} steps = {horizon.total_steps:,} steps")
    print(draw_terminal(curves, log, color=sys.stdout.isatty()))
    for curve in curves:
        if len(curves) > 1:
            print(f"{curve.name}:")
        print(curve.summary())
        if curve.note:
            print(f"Note: {curve.note}")
        for finding in curve.findings:
            print(f"Lint: {finding}")


def write(out: Path, curves: Sequence[Curve], title: str, log: bool) -> None:
    """Write the curves in the format that the suffix names."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".json":
            write_json(out, curves)
        elif out.suffix == ".csv":
            write_csv(out, curves)
        else:
            from plots.pictures import write_animation, write_picture

            draw = write_animation if out.suffix == ".gif" else write_picture
            draw(out, curves, title, log)
    except OSError as error:
        no_folder = f"{out.parent} is not a folder" if out.parent.is_file() else None
        reason = no_folder or error.strerror
        raise OSError(f"preview.out={out} cannot be written: {reason}.") from error


def draw_gallery(config: DictConfig, folder: Path) -> None:
    """Write a png and a gif of every schedule to a folder."""
    size = 0
    for name in schedule_names():
        curve = plan(config, name)
        for suffix in (".png", ".gif"):
            path = folder / f"{name}{suffix}"
            write(path, [curve], name, config.preview.log)
            size += path.stat().st_size
        print(f"{name}: {curve.summary()}")
        for finding in curve.findings:
            print(f"  Lint: {finding}")
    print(f"Written: {folder} ({size / 1e6:.1f} MB)")


def translate_arguments(arguments: Sequence[str]) -> list[str]:
    """Hydra's overrides for what this command takes besides: --gallery, and a bare run folder.

    >>> translate_arguments(["--gallery", "epochs=10"])
    ['preview.gallery=true', 'epochs=10']
    >>> translate_arguments(["outputs/run", "--cfg", "job"])
    ["preview.run='outputs/run'", '--cfg', 'job']
    """
    translated: list[str] = []
    for index, argument in enumerate(arguments):
        before = arguments[index - 1] if index else ""
        if argument == "--gallery":
            translated.append("preview.gallery=true")
        elif argument.startswith(("-", "~")) or "=" in argument:
            translated.append(argument)
        elif before.startswith("-") and before != "--gallery":
            translated.append(argument)  # the value of one of Hydra's options
        else:
            quoted = argument.replace("\\", "\\\\").replace("'", "\\'")
            translated.append(f"preview.run='{quoted}'")
    return translated


if __name__ == "__main__":
    sys.argv[1:] = translate_arguments(sys.argv[1:])
    run_command(preview, "preview")
