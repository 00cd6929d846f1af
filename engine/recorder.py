"""One object for everything that a run tells: TensorBoard, metrics.jsonl and the screen."""

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oneflow as flow
from tensorboardX import FileWriter
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainStep:
    """What one training step leaves: two of the values still lie on the device."""

    step: int
    rates: Sequence[float]  # one per parameter group, as this step's update used them
    loss: flow.Tensor  # (), mean over the batch
    correct: flow.Tensor  # (), images whose largest logit is the label's
    images: int
    time: float  # seconds since 1970


class Recorder:
    """Records a run in its folder.

    The values of training steps stay on the device and are fetched every `log_every` steps: a fetch
    waits for the device, a step does not. Tags and files are those of the public contract.

    Args:
        folder: the run folder.
        stop_step: the step at which training ends, for the progress bar.
        log_every: how many steps are fetched and written at once.
    """

    def __init__(self, folder: Path, stop_step: int, log_every: int) -> None:
        self.folder = folder
        self.log_every = log_every
        # The queue is as long as what one fetch writes, so that writing does not wait for the disk.
        self.writer = FileWriter(str(folder), max_queue=log_every + 10)
        self.metrics_file = (folder / "metrics.jsonl").open("a", buffering=1)
        self.stop_step = stop_step
        self.open = ExitStack()
        self.pending: list[TrainStep] = []
        self.train_images = 0
        self.train_seconds = 0.0
        self.loss_sum = self.correct_sum = 0.0  # since the last evaluation
        self.images_since = 0
        self.clock = time.perf_counter()

    def train_step(
        self,
        step: int,
        rates: Sequence[float],
        loss: flow.Tensor,
        correct: flow.Tensor,
        images: int,
    ) -> None:
        """Take a step's values; every `log_every` of them are fetched and written."""
        self.pending.append(TrainStep(step, rates, loss, correct, images, time.time()))
        self.bar.update()
        if len(self.pending) >= self.log_every:
            self.flush()

    def flush(self) -> None:
        """Fetch and write the pending steps. This waits for the device.

        Raises:
            FloatingPointError: a loss is not a finite number; names the step and its rates.
        """
        if not self.pending:
            return
        losses = flow.stack([record.loss for record in self.pending]).numpy()
        corrects = flow.stack([record.correct for record in self.pending]).numpy()
        for record, loss, correct in zip(self.pending, losses, corrects, strict=True):
            self._write_train_step(record, float(loss), float(correct))
        last, images = self.pending[-1], sum(record.images for record in self.pending)
        self.pending.clear()
        seconds, self.clock = time.perf_counter() - self.clock, time.perf_counter()
        self.train_images += images
        self.train_seconds += seconds
        self._write({"speed/images_per_second": images / seconds}, last.step, last.time)
        self.bar.set_postfix_str(f"loss {losses[-1]:.3f}, lr {last.rates[0]:.3g}", refresh=False)

    def _write_train_step(self, record: TrainStep, loss: float, correct: float) -> None:
        values = {f"lr/group{index}": rate for index, rate in enumerate(record.rates)}
        values["train/loss"] = loss
        values["train/top1"] = 100 * correct / record.images
        self._write(values, record.step, record.time)
        self.loss_sum += loss * record.images
        self.correct_sum += correct
        self.images_since += record.images
        if not math.isfinite(loss):
            self.writer.flush()
            raise FloatingPointError(
                f"The loss of step {record.step} is {loss} at learning rate "
                f"{', '.join(f'{rate:.6g}' for rate in record.rates)}: try a lower optimizer.lr, "
                "a warm-up, or trainer.clip_grad_norm=1."
            )

    def evaluation(
        self,
        split: str,
        step: int,
        epoch: float,
        rates: Sequence[float],
        metrics: Mapping[str, float],
    ) -> None:
        """Record the metrics of an evaluation made after `step` updates, and tell them."""
        tagged = {f"{split}/{name}": value for name, value in metrics.items()}
        self._write(tagged, step, time.time())
        line: dict[str, Any] = {"step": step, "epoch": epoch, "time": time.time()}
        line |= {f"lr/group{index}": rate for index, rate in enumerate(rates)}
        told = f"{split} {metrics['loss']:.3f}  top-1 {metrics['top1']:5.2f} %"
        if self.images_since:
            train_loss = self.loss_sum / self.images_since
            train_top1 = 100 * self.correct_sum / self.images_since
            line |= {"train/loss": train_loss, "train/top1": train_top1}
            told = f"train {train_loss:.3f}  {told}"
        self.loss_sum = self.correct_sum = 0.0
        self.images_since = 0
        self.metrics_file.write(json.dumps(line | tagged) + "\n")
        self.writer.flush()
        log.info("epoch %6.2f  step %6d  lr %-8.3g  %s", epoch, step, rates[0], told)
        self.clock = time.perf_counter()  # an evaluation is no part of the training speed

    def summary(self, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Write summary.json, and what the HParams tab shows of this very run."""
        path = self.folder / "summary.json"
        path.with_suffix(".tmp").write_text(json.dumps(summary, indent=2) + "\n")
        path.with_suffix(".tmp").replace(path)
        # The tab reads a figure from the curve of that name: its last point.
        figures = {"test/top1": "test_top1", "test/top5": "test_top5", "val/top1": "val_top1_last"}
        metrics = {tag: summary[key] for tag, key in figures.items() if summary[key] is not None}
        for part in hparams(dict(settings), metrics):
            self.writer.add_summary(part)

    def __enter__(self) -> "Recorder":
        # On a terminal only: in a log file each refresh would be a line.
        self.bar = self.open.enter_context(
            tqdm(total=self.stop_step, unit=" steps", disable=None, leave=False, smoothing=0.1)
        )
        self.open.enter_context(logging_redirect_tqdm())  # log lines go above the bar
        self.open.callback(self.metrics_file.close)
        self.open.callback(self.writer.close)
        return self

    def __exit__(self, *exception: object) -> None:
        self.open.close()

    @property
    def images_per_second(self) -> float:
        """Training images per second, evaluations left out; 0 before the first fetch."""
        return self.train_images / self.train_seconds if self.train_seconds else 0.0

    def _write(self, values: Mapping[str, float], step: int, when: float) -> None:
        # All values of a step in one event: five times quicker than one add_scalar for each.
        parts = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self.writer.add_summary(Summary(value=parts), step, when)
