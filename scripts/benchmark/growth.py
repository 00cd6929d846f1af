"""How cost grows with work: 1, 4 and 16 times as much of what people do more of.

A ratio of 4 per 4 times the work is linear; below it something is paid once. Times are the
processor's, which do not count what other processes do meanwhile.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from engine.process import runtime  # before anything that imports OneFlow
from runs.command_line import CONF
from scripts.benchmark.measure import Figure, Options, figure, seconds
from scripts.benchmark.trainer import NEVER, Resident, build_trainer, make_steps

TIMES = (1, 4, 16)


def measure(options: Options) -> list[Figure]:
    """For each kind of work the time of the least, and the ratios from there to 4 and 16 times."""
    kinds = (
        ("training steps", 50, train_steps),
        ("points recorded", 1_000, record_points),
        ("runs compared", 6, compare_runs),
    )
    figures = []
    for name, unit, work in kinds:
        figures += tell(name, unit, grow(work, unit, options.turns(3)))
    schedule, rows = grow_traces(6_250, options.turns(3))
    return [*figures, *tell(f"steps traced ({schedule}, which grows most)", 6_250, rows)]


def tell(name: str, unit: int, rows: list[list[float]]) -> list[Figure]:
    """The figures of the times of 1, 4 and 16 times a unit of work, one row per turn."""
    four, sixteen = f"{4 * unit:,} / {unit:,}", f"{16 * unit:,} / {4 * unit:,}"
    return [
        figure("growth", f"{name}: {unit:,}", "s", [row[0] for row in rows]),
        figure("growth", f"{name}: {four}", "ratio", [row[1] / row[0] for row in rows]),
        figure("growth", f"{name}: {sixteen}", "ratio", [row[2] / row[1] for row in rows]),
    ]


def grow(work: Callable[[int], Callable[[], Any]], unit: int, turns: int) -> list[list[float]]:
    """Times of 1, 4 and 16 times a unit, in turns; `work` prepares what is then timed."""
    seconds(work(unit))  # for warming up
    clock = time.process_time
    return [[seconds(work(times * unit), clock) for times in TIMES] for _ in range(turns)]


def train_steps(count: int) -> Callable[[], None]:
    """Recorded training steps of a small batch, in a run that begins with them."""
    from engine.recorder import Recorder
    from models.convnet import convnet_tiny

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder), NEVER, 20) as recorder:
            make_steps(build_trainer(convnet_tiny, Resident(8), recorder), count)

    return work


def grow_traces(unit: int, turns: int) -> tuple[str, list[list[float]]]:
    """The shipped schedule whose trace grows most from 4 to 16 times a unit, and its times."""
    from omegaconf import OmegaConf

    from schedulers import Horizon, trace_lr

    def tracing(path: Path) -> Callable[[int], Callable[[], Any]]:
        node = OmegaConf.load(path)
        return lambda count: lambda: trace_lr(node, [0.1], Horizon(count, max(1, count // 30)))

    paths = sorted((CONF / "scheduler").glob("*.yaml"))
    first = {path: grow(tracing(path), unit, 1)[0] for path in paths}
    most = max(paths, key=lambda path: first[path][2] / first[path][1])
    return most.stem, grow(tracing(most), unit, turns)


def record_points(count: int) -> Callable[[], None]:
    """Steps that only the recorder sees, and a file that is closed at the end."""
    from engine.recorder import Recorder

    loss, correct = runtime.flow.tensor(4.6), runtime.flow.tensor(3.0)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder), NEVER, 20) as recorder:
            for step in range(count):
                recorder.train_step(step, [0.1], loss, correct, 128)

    return work


def compare_runs(count: int) -> Callable[[], None]:
    """The report on so many runs of 400 steps: three seeds of each schedule."""
    from runs.comparison.write import write_report

    folder = tempfile.TemporaryDirectory()
    names = sorted(path.stem for path in (CONF / "scheduler").glob("*.yaml"))
    for place in range(count):
        write_run(Path(folder.name) / str(place), names[place // 3], place % 3)

    def work() -> None:
        with folder:
            write_report([Path(folder.name)])

    return work


def write_run(folder: Path, scheduler: str, seed: int, steps: int = 400) -> None:
    """A finished run with made-up figures, as far as a report reads it."""
    from engine.events import EventFile

    (folder / ".hydra").mkdir(parents=True)
    config = {"scheduler": {"_target_": scheduler}, "optimizer": {"lr": 0.1}, "seed": seed}
    config |= {"model": {"_target_": "net"}, "dataset": {"train_size": 1000}, "epochs": 2}
    (folder / ".hydra/config.yaml").write_text(yaml.safe_dump(config))
    words = [f"scheduler={scheduler}", f"seed={seed}"]
    (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(words))
    top1 = 30.0 + len(scheduler) / 10 + seed / 5
    summary = {"status": "completed", "scheduler": scheduler, "seed": seed, "steps": steps}
    summary |= {"model": "net", "dataset": "synthetic", "epochs": 2, "seconds": 1.0}
    summary |= {"test_top1": top1, "val_top1_last": top1, "val_top1_best": top1}
    summary |= {"lr_check": {"steps": steps, "mismatches": 0}, "versions": {}}
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = [{"step": step, "val/top1": top1 * step / steps} for step in range(100, steps + 1, 100)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    events = EventFile(folder)
    for step in range(steps):
        values = {"lr/group0": 0.1 * (1 - step / steps), "train/loss": 4.0}
        events.scalars(values, step, 0.0)
    events.close()
