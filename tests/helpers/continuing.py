"""What the tests of stopped and continued runs share."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

from engine.trainer import Trainer
from tests.conftest import ROOT, TINY, Run

SCHEDULERS = sorted(path.stem for path in (ROOT / "conf/scheduler").glob("*.yaml"))
SHORT = (*TINY, "dataset.train_size=80", "batch_size=8", "epochs=4")  # 40 steps
HARD = (  # what could go wrong: two groups, a plateau that drops, evaluations inside an epoch
    "trainer.decay_norm_and_bias=false",
    "trainer.eval_every=4",
    "trainer.log_every=3",
    "trainer.checkpoint_every=3",
)
EVERYTHING = (  # 20 steps; evaluations after 4, 8, ...; SWA takes 10, 13, 16 and 19
    *(*SHORT, *HARD, "epochs=2", "scheduler=warmup", "optimizer=adamw", "trainer.keep_last=9"),
    *("trainer.ema_decay=0.9", "trainer.swa_start=50%", "trainer.swa_every=3"),
    *("augment.mixup=0.2", "augment.cutmix=1", "trainer.label_smoothing=0.1"),
    *("augment.policy=trivialaugment", "augment.random_erasing=0.5"),
    *("model._target_=tests.helpers.nets.with_dropout", "allow_targets=[tests.helpers.nets]"),
)
LONG = (*SHORT, "epochs=30", "scheduler=warmup", "trainer.eval_every=150")


def overrides_for(scheduler: str) -> tuple[str, ...]:
    plateau = ("scheduler.patience=0", "scheduler.threshold=0.5", "scheduler.cooldown=1")
    return (f"scheduler={scheduler}", *HARD, *(plateau if scheduler == "reduce_on_plateau" else ()))


def evidence(folder: Path) -> dict:
    """All that has to be the same: weights, optimizer, series, lines and figures."""
    last, best = folder / "checkpoints/last", folder / "checkpoints/best"
    state = json.loads((last / "state.json").read_text())
    for time_of in ("seconds", "train_seconds", "metrics_bytes"):
        del state["recorder"][time_of]
    state["config"] = None  # compared where it matters: it names the folder that was resumed
    tensors = {
        f"{name}:{key}": (array.dtype, array.shape, array.tobytes())
        for name in ("model", "optimizer")
        for key, array in load_file(last / f"{name}.safetensors").items()
    }
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    run = Run(folder, None)
    curves = run.curves
    speed = [step for step, _ in curves.pop("speed/images_per_second")]
    untimed = ("seconds", "images_per_second")
    return {
        "best": os.readlink(best).split(".")[0] if best.is_symlink() else None,
        "state": state,
        "tensors": tensors,
        "curves": curves,
        "speed": speed,
        "lines": [{k: v for k, v in line.items() if k != "time"} for line in lines],
        "summary": {k: v for k, v in run.summary.items() if k not in untimed},
    }


def check_equal(first: dict, second: dict) -> None:
    for key in first:
        assert first[key] == second[key], key


ORIGINAL = Trainer.train_step


def stopping(step: int):
    """A train_step that gets SIGTERM in the middle of the update with which `step` are made."""

    def train_step(trainer, images, labels):
        if trainer.step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        ORIGINAL(trainer, images, labels)

    return train_step


def faulty(moment: int | str, deed: str, *arguments: str) -> tuple[int, str, str]:
    """The code and output of a real process with a real fault (see tests/helpers/faulty.py)."""
    command = [sys.executable, "-m", "tests.helpers.faulty", "0", str(moment), deed, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def start(*arguments: str, cwd: Path, **settings: bool) -> subprocess.Popen:
    words, pipe = [sys.executable, str(ROOT / "train.py"), *arguments], subprocess.PIPE
    return subprocess.Popen(words, cwd=cwd, stdout=pipe, stderr=pipe, text=True, **settings)


def wait_for(condition, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def read_summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())
