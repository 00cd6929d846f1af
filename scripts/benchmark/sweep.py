"""Two jobs of a sweep side by side against the same two one after the other, whole commands."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.benchmark.measure import ENVIRONMENT, ROOT, Figure, Options, figure

JOBS = (
    "dataset=synthetic",
    "dataset.train_size=5000",
    "dataset.val_size=500",
    "dataset.test_size=500",
    "scheduler=step,cosine_annealing",
    "device=cpu",
)


def measure(options: Options) -> list[Figure]:
    """Ratios of the commands' times, and of the images per second while the jobs train."""
    epochs, pairs = 1 if options.quick else 6, []
    for _ in range(options.turns(3)):
        one = run_sweep(epochs, "hydra/launcher=basic")
        pairs.append((one, run_sweep(epochs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")))
    commands = [one[0] / two[0] for one, two in pairs]
    speeds = [two[1] / (one[1] / 2) for one, two in pairs]
    return [
        figure("sweep", "two jobs in sequence / two at a time, whole commands", "ratio", commands),
        figure("sweep", "the same, two in sequence", "s", [one[0] for one, _ in pairs]),
        figure("sweep", "the same, two at a time", "s", [two[0] for _, two in pairs]),
        figure("sweep", "images/s of both jobs together / of one alone", "ratio", speeds),
    ]


def run_sweep(epochs: int, *words: str) -> tuple[float, float]:
    """Seconds of the whole command, and the sum of its jobs' images per second."""
    with tempfile.TemporaryDirectory() as folder:
        where = f"hydra.sweep.dir={folder}/sweep"
        command = [sys.executable, "train.py", "-m", *JOBS, f"epochs={epochs}", where, *words]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True)
        took = time.perf_counter() - start
        summaries = Path(folder).glob("sweep/*/summary.json")
        speeds = [json.loads(path.read_text())["images_per_second"] for path in summaries]
        return took, sum(speeds)
