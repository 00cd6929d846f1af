"""From the start of `python train.py` to its first training step, in fresh processes."""

import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmark.measure import ENVIRONMENT, ROOT, Figure


def measure(options: Namespace) -> Iterator[Figure]:
    """Yield the seconds to the first step; a first start brings the files into memory."""
    words, data = ("dataset=synthetic", "dataset.train_size=5000"), "5,000 built-in images"
    if options.cifar100:
        words, data = (f"dataset.root={Path(options.cifar100).resolve()}",), "CIFAR-100"
    times = [time_to_first_step(*words) for _ in range(2 if options.quick else 8)]
    yield f"start to the end of the first step, {data}", "s", times[1:]


def time_to_first_step(*words: str) -> float:
    """Return the seconds from the start of a run on a CPU to the record of its first step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tempfile.TemporaryDirectory() as folder:
        more = ("scheduler=warmup", "device=cpu", "max_steps=1", f"hydra.run.dir={folder}/run")
        command = [sys.executable, "train.py", *words, *more]
        start = time.time()
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True)
        events = EventAccumulator(f"{folder}/run").Reload()
        return float(events.Scalars("train/loss")[0].wall_time) - start
