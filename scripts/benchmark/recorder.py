"""What it costs to record every step: a recorder that writes against one that drops everything."""

import tempfile
import time
from pathlib import Path
from typing import Any

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, in_turns, seconds
from scripts.benchmark.trainer import (
    NEVER,
    Resident,
    bare_steps,
    build_parts,
    build_trainer,
    make_steps,
)

STEPS = 20  # of a turn: as many as a run fetches and writes at once


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
        turns = options.turns(21)
        ratios = in_turns(
            lambda: make_steps(recorded, STEPS), lambda: make_steps(dropped, STEPS), turns
        )
        record, bare = recording(recorder), bare_steps(*build_parts(convnet_tiny), loader, STEPS)
        parts = [100 * part for part in in_turns(record, bare, turns)[1]]
        times = [seconds(record, time.process_time) / STEPS * 1e6 for _ in range(turns)]
    name = f"steps recorded / steps dropped ({net}"
    return [
        figure("recorder", f"{name})", "ratio", ratios[0]),
        figure("recorder", f"{name}, processor time)", "ratio", ratios[1]),
        figure("recorder", f"recording of a step / bare step ({net}, processor time)", "%", parts),
        figure("recorder", "recording of a step, processor time", "us", times),
    ]


def recording(recorder: Any) -> Any:
    """A function that records one turn of steps, whose values lie there already."""
    flow = runtime.flow
    losses = [flow.tensor(4.6) for _ in range(STEPS)]
    corrects = [flow.tensor(3.0) for _ in range(STEPS)]

    def record() -> None:
        for step in range(STEPS):
            recorder.train_step(step, [0.1], losses[step], corrects[step], 128)

    return record
