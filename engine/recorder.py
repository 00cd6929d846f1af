"""One object for all that a run records: TensorBoard, metrics.jsonl and the screen."""

import contextlib
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import oneflow as flow
from tensorboardX.summary import hparams
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from common.files import write_text
from engine.events import EventFile

log = logging.getLogger(__name__)

# Sums that a checkpoint holds, so that a resumed run goes on with them.
SUMS = ("loss_sum", "correct_sum", "images_since", "train_images", "train_seconds")


class TrainStep(NamedTuple):
    """The values of one training step; two of them still lie on the device."""

    step: int
    rates: Sequence[float]  # one per parameter group, as this step's update used them
    loss: flow.Tensor  # (), mean over the batch
    correct: flow.Tensor  # (), images whose largest logit is the label's
    images: int
    time: float  # seconds since 1970


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json."""
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")


def mark_interrupted(folder: Path) -> None:
    """Set the status in summary.json where a run was interrupted with nothing new to save."""
    summary: dict[str, Any] = {"steps": 0}
    with contextlib.suppress(OSError, ValueError):
        summary = json.loads((folder / "summary.json").read_text())
    write_summary(folder, summary | {"status": "interrupted"})


def describe_rates(rates: Sequence[float]) -> str:
    """Return the end of a sentence about a number that is not finite: the rates, and a remedy."""
    listed = ", ".join(f"{rate:.6g}" for rate in rates)
    remedy = "try a lower optimizer.lr, a warm-up, or trainer.clip_grad_norm=1."
    return f"at learning rate {listed}: {remedy}"


@dataclass(eq=False, repr=False)
class Recorder:
    """Records a run in its folder.

    The values of training steps stay on the device and are fetched every `log_every` steps: a fetch
    waits for the device, a step does not. Tags and files are those of the public contract.

    Raises:
        OSError: the folder's disk is full, or something else is wrong with it; as every method.
    """

    folder: Path  # of the run
    stop_step: int  # at which training ends, for the progress bar
    log_every: int  # how many steps are fetched and written at once
    silent: bool = False  # keep the sums, and write and show nothing: for all ranks but one

    def __post_init__(self) -> None:
        # A silent recorder writes to files that are deleted as soon as they are open.
        context = tempfile.TemporaryDirectory() if self.silent else nullcontext(self.folder)
        with context as place:
            self.events = EventFile(Path(place))
            self.metrics_file = Path(place, "metrics.jsonl").open("a", buffering=1)  # noqa: SIM115
        self.step = 0  # at which this process starts
        self.open = ExitStack()
        self.pending: list[TrainStep] = []
        self.train_images = self.speed_images = 0  # in all; since the last speed
        self.train_seconds = self.speed_seconds = 0.0
        self.loss_sum = self.correct_sum = 0.0  # since the last evaluation
        self.images_since = 0
        self.clock = self.started = time.perf_counter()
        self.seconds_before = 0.0  # of the processes that trained this run before

    def train_step(
        self, step: int, rates: list[float], loss: flow.Tensor, correct: flow.Tensor, images: int
    ) -> None:
        """Take a step's values (see `TrainStep`); `flush` every `log_every` of them."""
        self.pending.append(TrainStep(step, rates, loss, correct, images, time.time()))
        self.bar.update()
        if (step + 1) % self.log_every == 0:
            self.flush()

    def flush(self) -> None:
        """Fetch and write the pending steps. This waits for the device.

        Raises:
            FloatingPointError: a loss is not finite; names the first such step and its rates.
        """
        if not self.pending:
            return
        losses = flow.stack([record.loss for record in self.pending]).tolist()
        corrects = flow.stack([record.correct for record in self.pending]).tolist()
        for record, loss, correct in zip(self.pending, losses, corrects, strict=True):
            self._write_train_step(record, loss, correct)
        last, images = self.pending[-1], sum(record.images for record in self.pending)
        self.pending.clear()
        postfix = f"loss {losses[-1]:.3f}, lr {last.rates[0]:.3g}"
        self.bar.set_postfix_str(postfix, refresh=False)
        seconds, self.clock = time.perf_counter() - self.clock, time.perf_counter()
        self.train_images += images
        self.train_seconds += seconds
        self.speed_images += images
        self.speed_seconds += seconds
        # At fixed steps, so that a run that was stopped and continued has the same points.
        if (last.step + 1) % self.log_every == 0 or last.step + 1 == self.stop_step:
            speed = self.speed_images / self.speed_seconds
            self.events.scalars({"speed/images_per_second": speed}, last.step, last.time)
            self.speed_images, self.speed_seconds = 0, 0.0

    def _write_train_step(self, record: TrainStep, loss: float, correct: float) -> None:
        values = {f"lr/group{index}": rate for index, rate in enumerate(record.rates)}
        values["train/loss"] = loss
        values["train/top1"] = 100 * correct / record.images
        self.events.scalars(values, record.step, record.time)
        if not math.isfinite(loss):
            self.events.flush()
            where = describe_rates(record.rates)
            raise FloatingPointError(f"The loss of step {record.step} is {loss} {where}")
        self.loss_sum += loss * record.images
        self.correct_sum += correct
        self.images_since += record.images

    def evaluation(
        self, split: str, step: int, epoch: float, rates: list[float], metrics: Mapping[str, float]
    ) -> None:
        """Record and show the metrics of an evaluation made after `step` updates."""
        tagged = {f"{split}/{name}": value for name, value in metrics.items()}
        self.events.scalars(tagged, step, time.time())
        line: dict[str, Any] = {"step": step, "epoch": epoch, "time": time.time()}
        line |= {f"lr/group{index}": rate for index, rate in enumerate(rates)}
        shown = f"{split} {metrics['loss']:.3f}  top-1 {metrics['top1']:5.2f} %"
        averaged = [name for name in metrics if name.endswith("_top1")]  # ema_top1, swa_top1
        shown += "".join(f"  {name[:-5]} {metrics[name]:5.2f} %" for name in averaged)
        if self.images_since:
            train_loss = self.loss_sum / self.images_since
            train_top1 = 100 * self.correct_sum / self.images_since
            line |= {"train/loss": train_loss, "train/top1": train_top1}
            shown = f"train {train_loss:.3f}  {shown}"
        self.loss_sum = self.correct_sum = 0.0
        self.images_since = 0
        self.metrics_file.write(json.dumps(line | tagged) + "\n")
        self.events.flush()
        log.info("epoch %6.2f  step %6d  lr %-8.3g  %s", epoch, step, rates[0], shown)
        self.clock = time.perf_counter()  # an evaluation is no part of the training speed

    def picture(self, tag: str, image: np.ndarray, step: int) -> None:
        """Record a picture: (3, height, width) uint8."""
        self.events.picture(tag, image, step, time.time())

    def sync(self) -> None:
        """Wait until all that was recorded is on the disk, as a checkpoint promises."""
        self.flush()
        self.events.flush()
        self.metrics_file.flush()
        os.fsync(self.metrics_file.fileno())

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold of the recorder, after `sync`."""
        state = {name: getattr(self, name) for name in SUMS}
        return state | {"seconds": self.seconds, "metrics_bytes": self.metrics_file.tell()}

    def continue_from(self, step: int, state: Mapping[str, Any], evaluation: Mapping) -> None:
        """Go on after `step` updates with the `state` of then: remove what was recorded later.

        `evaluation` has the metrics of the evaluation made after this step, if there was one.
        """
        self.step = step
        self.load_state(state)
        self.metrics_file.truncate(min(state["metrics_bytes"], self.metrics_file.tell()))
        self.events.restart(step)
        # The restart removed this too: its step is that of the first update to come.
        again = {f"val/{name}": value for name, value in evaluation.items()}
        self.events.scalars(again, step, time.time())

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore sums and times, as `state` returned them."""
        for name in SUMS:
            setattr(self, name, state[name])
        self.seconds_before = state["seconds"]

    def summary(self, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Write summary.json, and the run's settings and figures for the HParams tab."""
        if self.silent:
            return
        write_summary(self.folder, summary)
        # The tab reads a figure from the curve of that name: its last point.
        figures = {"test/top1": "test_top1", "test/top5": "test_top5", "val/top1": "val_top1_last"}
        figures |= {f"test/{name}_top1": f"test_top1_{name}" for name in ("ema", "swa")}
        found = {tag: summary[key] for tag, key in figures.items() if summary.get(key) is not None}
        for part in hparams(dict(settings), found):
            self.events.summary(part, 0, time.time())

    def __enter__(self) -> "Recorder":
        hidden = self.silent or None  # None: shown on a terminal, as it would fill a log file
        bar = tqdm(
            total=self.stop_step, initial=self.step, unit=" steps", leave=False, disable=hidden
        )
        self.bar = self.open.enter_context(bar)
        self.open.enter_context(logging_redirect_tqdm())  # log lines go above the bar
        self.open.callback(self.metrics_file.close)
        self.open.callback(self.events.close)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        # Closing can fail for the same reason as before; keep the first error.
        with contextlib.suppress(OSError) if kind else nullcontext():
            self.open.close()

    @property
    def images_per_second(self) -> float:
        """Training images per second, evaluations left out; 0 before the first fetch."""
        return self.train_images / self.train_seconds if self.train_seconds else 0.0

    @property
    def seconds(self) -> float:
        """Seconds that the run has taken, in all processes that trained it."""
        return self.seconds_before + time.perf_counter() - self.started
