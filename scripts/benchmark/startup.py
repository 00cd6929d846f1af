"""From the start of `python train.py` to its first training step, in fresh processes."""

import subprocess
import sys
import tempfile
import time

from scripts.benchmark.measure import ENVIRONMENT, ROOT, Figure, Options, figure


def measure(options: Options) -> list[Figure]:
    """Return the seconds to the first step; a first start brings the files into memory."""
    words = ("dataset=synthetic", "dataset.train_size=5000")
    data = "5,000 built-in images"
    if options.cifar100:
        words, data = (f"dataset.root={options.cifar100}",), "CIFAR-100"
    times = [time_to_first_step(*words) for _ in range(1 + options.turns(7))][1:]
    return [figure("startup", f"start to the end of the first step, {data}", "s", times)]


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
