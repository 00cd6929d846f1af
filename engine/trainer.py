"""The training loop."""

from collections.abc import Mapping
from typing import Any

import oneflow as flow
from oneflow import nn
from oneflow.optim.lr_scheduler import ReduceLROnPlateau

from engine.averaging import Averages
from engine.checkpoint import write_checkpoint
from engine.finite import NonFinite, check_weights
from engine.loader import Loader
from engine.process import ranks, runtime
from engine.process.signals import Interrupted, Interruption
from engine.recorder import Recorder
from engine.update import build_update


class Trainer:
    """Trains a model and evaluates it, one optimizer update after the other.

    Everything random is a function of (seed, epoch, step): the loader sees to order and
    augmentation, `train_step` to dropout. So a step's result does not depend on what else ran, and
    a run that `engine.restore` takes up from a checkpoint continues bit for bit.

    Args:
        model: maps images (n, 3, 32, 32) to logits (n, classes); on its device already.
        optimizer: its parameter groups' `lr` are the rates in force.
        scheduler: steps after every update, ReduceLROnPlateau after every evaluation instead.
        loaders: `train` (its length is the number of steps per epoch), `val` (of length 0 where
            nothing is held out) and `test`.
        recorder: told of every step and evaluation; knows the run folder.
        stop_step: how many updates to make.
        eval_every: steps between evaluations; one more is made at the end.
        checkpoint_every: steps between checkpoints; more are written at the end and for each
            evaluation that is the best so far.
        keep_last: how many of the newest checkpoints to keep beside the best one.
        clip_grad_norm: the largest norm of the whole gradient, or None.
        label_smoothing: 0 <= value < 1, for the training loss only.
        seed: of the dropout masks.
        on_nonfinite: what to do with a loss or gradient that is not finite: `stop` the run, or
            `skip` the update: the step counts, the weights stay.
        max_skipped: so many skipped updates in a row stop the run.
        graph: whether steps are compiled by `nn.Graph`.
        amp: whether they are, and in mixed precision: an update that overflows is made again.
        averages: of the weights, evaluated beside them; None: there are none.
        interruption: asked after every step and batch whether to stop.
        about: what checkpoints say of the run besides.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: flow.optim.Optimizer,
        scheduler: Any,
        loaders: dict[str, Loader],
        recorder: Recorder,
        *,
        stop_step: int,
        eval_every: int,
        checkpoint_every: int,
        keep_last: int = 2,
        clip_grad_norm: float | None = None,
        label_smoothing: float = 0.0,
        seed: int = 0,
        on_nonfinite: str = "stop",
        max_skipped: int = 10,
        graph: bool = False,
        amp: bool = False,
        averages: Averages | None = None,
        interruption: Interruption | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.loaders = loaders
        self.train_loader = loaders["train"]
        self.recorder = recorder
        self.stop_step = stop_step
        self.eval_every = eval_every
        self.checkpoint_every = checkpoint_every
        self.keep_last = keep_last
        self.seed = seed
        self.skips = on_nonfinite == "skip" or amp
        self.max_skipped = max_skipped
        self.averages = averages or Averages(model, self.train_loader.epoch)
        self.interruption = interruption or Interruption()
        self.about = dict(about or {})
        self.stochastic = runtime.follow_seed(model)
        self.metric_driven = isinstance(scheduler, ReduceLROnPlateau)
        criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        parts = (model, criterion, optimizer, clip_grad_norm, self.skips)
        self.update = build_update(*parts, graph=graph, amp=amp, stochastic=self.stochastic)
        self.step = 0  # steps made; each is an update, but for the skipped ones
        self.first_step = 0  # at which this run's own curve begins: not 0 in a fork
        self.saved_step = 0  # of the newest checkpoint
        self.skipped = self.skipped_in_a_row = 0
        self.applied: list[list[float]] = []  # rates per step, one for each parameter group
        self.plateau_metrics: dict[int, float] = {}  # by the number of updates made before
        self.last: dict[str, float] = {}  # the newest evaluation
        self.best: dict[str, float] = {}  # the one with the highest top-1; the first of equals

    def fit(self) -> None:
        """Train to `stop_step`, with evaluations and checkpoints on the way and at the end.

        Raises:
            Interrupted: it was asked to stop; the last step is saved.
            FloatingPointError: a loss or gradient is not finite.
            OSError: something could not be written.
        """
        try:
            try:
                self.finish_step()  # the evaluation that an interruption has cut off
                while self.step < self.stop_step:
                    self.train_epoch()
                self.recorder.flush()
            except Interrupted:
                if self.saved_step != self.step:
                    self.save()
                raise
        except NonFinite as error:
            self.step = error.step  # this update was not made, nor were those after it
            del self.applied[self.step - self.first_step :]
            raise

    def train_epoch(self) -> None:
        """Make the steps that are left of the current epoch, or up to `stop_step`."""
        epoch, start_step = divmod(self.step, len(self.train_loader))
        self.model.train()
        for images, labels in self.train_loader.epoch(epoch, start_step):
            self.train_step(images, labels)
            self.averages.take(self.step)
            self.finish_step()
            self.interruption.poll()
            if self.step == self.stop_step:
                return

    def finish_step(self) -> None:
        """Evaluate and save where it is time to, and nothing that has been done before."""
        done = self.step == self.stop_step
        evaluates = self.step > self.first_step and self.last.get("step") != self.step
        evaluates &= done or self.step % self.eval_every == 0
        improved = evaluates and self.validate()
        if not evaluates and self.saved_step == self.step:
            return
        if improved or done or self.step % self.checkpoint_every == 0:
            self.save(best=improved)

    def train_step(self, images: flow.Tensor, labels: flow.Tensor) -> None:
        """Make one step with a batch: this rank's images (m, 3, 32, 32), all labels (n,)."""
        rates = self.rates  # read before anything moves: the rates that this update uses
        if self.stochastic:
            flow.manual_seed(ranks.mask_seed(self.seed, self.step))
        buffers = [buffer.clone() for buffer in self.model.buffers()] if self.skips else []
        watch, correct, sound = self.update(images, labels)
        while not sound and self.update.retries:
            self.skip(buffers)
            watch, correct, sound = self.update(images, labels)
        if sound:
            self.skipped_in_a_row = 0
        elif self.skips:
            self.skip(buffers)
        skipped = 0 if sound else self.skipped
        self.recorder.train_step(self.step, rates, watch, correct, len(labels), skipped)
        if not sound:
            self.recorder.flush()  # raises, unless the update is skipped
        if not self.metric_driven:
            self.scheduler.step()
        self.applied.append(rates)
        self.step += 1

    def skip(self, buffers: list[flow.Tensor]) -> None:
        """Count an update that is left out, and undo what the forward pass did to the norms.

        Raises:
            FloatingPointError: it is one too many in a row.
        """
        for buffer, before in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row == self.max_skipped:
            raise FloatingPointError(
                f"Up to step {self.step} at learning rate {self.rates[0]:.6g}, {self.max_skipped} "
                "updates in a row had a loss or gradient that is not finite "
                f"(trainer.max_skipped={self.max_skipped}): try a lower optimizer.lr or a warm-up."
            )

    def validate(self) -> bool:
        """Evaluate on the held-out split and step a metric-driven scheduler.

        Returns:
            Whether this is the best evaluation so far.
        """
        self.check()
        if not len(self.loaders["val"]):
            if self.step == self.stop_step:  # for the last checkpoint
                self.averages.estimate()
            return False
        metrics = self.averages.evaluate(self.evaluate, self.loaders["val"])
        self.last = {"step": self.step, **metrics}
        self.recorder.evaluation("val", self.step, self.epoch, self.rates, metrics)
        improved = not self.best or metrics["top1"] > self.best["top1"]
        if improved:
            self.best = self.last
        if self.metric_driven:
            metric = metrics["loss" if self.scheduler.mode == "min" else "top1"]
            self.plateau_metrics[self.step] = metric
            self.scheduler.step(metric)
        return improved

    def check(self) -> None:
        """Go no further after a loss or gradient that is not finite, nor with such weights.

        Raises:
            NonFinite: names the step.
        """
        self.recorder.flush()
        if self.applied:
            check_weights(self.model, self.step, self.applied[-1])

    def test(self) -> dict[str, float]:
        """Evaluate on the test split: once, when training is over."""
        metrics = self.averages.evaluate(self.evaluate, self.loaders["test"])
        self.recorder.evaluation("test", self.step, self.epoch, self.rates, metrics)
        return metrics

    def evaluate(self, loader: Loader) -> dict[str, float]:
        """Mean loss (no smoothing), top-1 and top-5 accuracy in percent over a loader's images."""
        self.model.eval()
        ranks.take_buffers(self.model)
        criterion = nn.CrossEntropyLoss(reduction="sum")
        sums: list[flow.Tensor] = []  # per batch: summed loss, top-1 and top-5 hits
        images_seen = 0
        with flow.no_grad():
            for images, labels in loader.epoch():
                self.interruption.poll()
                own = ranks.own(labels)  # (m,)
                logits = self.model(images)  # (m, classes)
                guesses = logits.topk(min(5, logits.shape[1]), dim=1)[1]  # (m, 5), best first
                hits = (guesses == own.reshape(-1, 1)).float()
                batch = flow.stack([criterion(logits, own), hits[:, 0].sum(), hits.sum()])
                sums.append(ranks.counted(batch, len(labels)))
                images_seen += len(labels)
        self.model.train()
        # numpy adds the batches in float64: float32 would lose hits in a large split
        total = ranks.add(flow.stack(sums).numpy().astype("float64").sum(axis=0))
        loss, top1, top5 = map(float, total)
        count = images_seen
        return {"loss": loss / count, "top1": 100 * top1 / count, "top5": 100 * top5 / count}

    def save(self, best: bool = False) -> None:
        """Write a checkpoint, when all that was recorded before it is on the disk."""
        self.check()
        self.recorder.sync()
        if ranks.RANK == 0:
            write_checkpoint(
                self.recorder.folder / "checkpoints",
                self.model.state_dict(),
                self.applied,
                self.state(),
                best=best,
                keep_last=self.keep_last,
            )
        self.saved_step = self.step

    def state(self) -> dict[str, Any]:
        """All that a checkpoint holds besides the weights and the applied rates."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "first_step": self.first_step,
            "rates": self.rates,
            "last": self.last,
            "best": self.best,
            "skipped": [self.skipped, self.skipped_in_a_row],
            "plateau_metrics": self.plateau_metrics,
            "averages": self.averages.state(),
            "recorder": self.recorder.state(),
            "scheduler": self.scheduler.state_dict(),
            "update": self.update.state(),
            "optimizer": self.optimizer.state_dict(),
            **self.about,
        }

    @property
    def rates(self) -> list[float]:
        """The learning rates in force, one per parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    @property
    def epoch(self) -> float:
        """Epochs done, with their fraction."""
        return self.step / len(self.train_loader)
