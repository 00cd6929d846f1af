"""What it costs to record every step: a recorder that writes against one that drops everything."""

import tempfile
import time
from pathlib import Path
from typing import Any

from engine import runtime  # before anything that imports OneFlow
from scripts.benchmarks.trainer import (
    NEVER,
    STEPS,
    Resident,
    bare_steps,
    build_parts,
    build_trainer,
    make_steps,
)
from scripts.measure import Figure, Options, figure, in_turns, seconds


class Deaf:
    """A recorder that drops what it is told."""

    def train_step(self, *values: Any, **named: Any) -> None:
        """Drop a step."""


def measure(options: Options) -> list[Figure]:
    """The ratio of whole steps, and the recorder's own time as a part of a step.

    The second is the finer one: what it measures is all that the recorder does, and no step that
    takes a hundred times as long stands above the line.
    """
    from engine.recorder import Recorder
    from models.convnet import convnet_tiny

    loader, net = Resident(128), "convnet_tiny, batch 128"
    with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder), NEVER, STEPS) as recorder:
        recorded = build_trainer(convnet_tiny, loader, recorder)
        dropped = build_trainer(convnet_tiny, loader, Deaf())
        ratios = in_turns(
            lambda: make_steps(recorded),
            lambda: make_steps(dropped),
            options.turns(21),
            time.process_time,
        )
        record, bare = recording(recorder), bare_steps(*build_parts(convnet_tiny), loader)
        parts = [100 * part for part in in_turns(record, bare, options.turns(21))]
        times = [seconds(record) / STEPS * 1e6 for _ in range(options.turns(21))]
    name = f"steps recorded / steps dropped ({net}, processor time)"
    return [
        figure("recorder", name, "ratio", ratios),
        figure("recorder", f"recording of a step as part of a bare step ({net})", "%", parts),
        figure("recorder", "recording of a step, fetched and written by 20", "us", times),
    ]


def recording(recorder: Any) -> Any:
    """A function that records one turn of steps, whose values lie there already."""
    flow = runtime.flow
    watches = [flow.tensor([4.6, 1.0]) for _ in range(STEPS)]
    corrects = [flow.tensor(3.0) for _ in range(STEPS)]

    def record() -> None:
        for step in range(STEPS):
            recorder.train_step(step, [0.1], watches[step], corrects[step], 128)

    return record
