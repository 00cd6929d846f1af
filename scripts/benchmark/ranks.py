"""One training on two processes against the same one on a single process: docs/distributed.md."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.benchmark.measure import ENVIRONMENT, ROOT, Figure, Options, figure

STEPS = {"convnet_tiny": 150, "resnet20": 6}  # at least 3 seconds each
LAUNCHER = ("-m", "oneflow.distributed.launch", "--nproc_per_node")


def measure(options: Options) -> list[Figure]:
    """Images per second in training (global batch 128), and their ratios."""
    figures = []
    for model, steps in STEPS.items():
        pairs = []
        for turn in range(options.turns(5)):
            order = (1, 2) if turn % 2 == 0 else (2, 1)
            speeds = {ranks: measure_speed(model, steps, ranks) for ranks in order}
            pairs.append((speeds[1], speeds[2]))
        ratios = [two / one for one, two in pairs]
        figures += [
            figure("ranks", f"{model}, two processes / one", "ratio", ratios),
            figure("ranks", f"{model}, one process", "images/s", [one for one, _ in pairs]),
            figure("ranks", f"{model}, two processes", "images/s", [two for _, two in pairs]),
        ]
    return figures


def measure_speed(model: str, steps: int, ranks: int) -> float:
    """Training images per second of a run of its own, as its summary tells them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launched = (*LAUNCHER, str(ranks), "--master_port", port) if ranks > 1 else ()
    with tempfile.TemporaryDirectory() as folder:
        words = (
            "dataset=synthetic",
            f"dataset.train_size={128 * steps}",
            "dataset.val_size=128",
            "dataset.test_size=128",
            f"model={model}",
            "epochs=1",
            "device=cpu",
            f"hydra.run.dir={folder}/run",
        )
        command = [sys.executable, *launched, "train.py", *words]
        run_group(command)
        return float(json.loads(Path(folder, "run/summary.json").read_text())["images_per_second"])


def run_group(command: list[str]) -> None:
    """Run a command with a group of processes of its own, none of which outlives this.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
    except BaseException:
        process.send_signal(signal.SIGTERM)  # to the launcher, which passes it on
        raise
