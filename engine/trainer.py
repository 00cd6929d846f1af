"""The training loop."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import oneflow as flow
from oneflow import nn
from oneflow.optim.lr_scheduler import ReduceLROnPlateau

from engine.averaging import Averages
from engine.checkpoint import write_checkpoint
from engine.graph import GraphUpdate
from engine.loader import Loader
from engine.process import ranks, runtime
from engine.process.signals import Interrupted, Interruption
from engine.recorder import Recorder, describe_rates
from engine.update import EagerUpdate


@dataclass(eq=False, repr=False)
class Trainer:
    """Trains a model and evaluates it, one optimizer update after the other.

    Everything random is a function of (seed, epoch, step): order and augmentation in the loader,
    dropout in `train_step`. So a step's result does not depend on what else ran, and a run that
    `engine.restore` continues from a checkpoint is the same bit for bit.
    """

    model: nn.Module  # maps images (n, 3, 32, 32) to logits (n, classes); on its device already
    optimizer: flow.optim.Optimizer  # its groups' `lr` are the learning rates in force
    scheduler: Any  # steps after every update, ReduceLROnPlateau after every evaluation instead
    loaders: dict[str, Loader]  # train, val (of length 0 where nothing is held out), test
    recorder: Recorder  # takes every step and evaluation; knows the run folder
    _: KW_ONLY
    stop_step: int  # how many updates to make
    eval_every: int  # steps between evaluations; one more is made at the end
    checkpoint_every: int  # steps between checkpoints; one more at the end and at the best so far
    keep_last: int = 2  # how many of the newest checkpoints to keep beside the best one
    clip_grad_norm: float | None = None  # the largest norm of the whole gradient
    label_smoothing: float = 0.0  # 0 <= value < 1, for the training loss only
    seed: int = 0  # of the dropout masks
    graph: bool = False  # compile the steps with `nn.Graph`
    amp: bool = False  # the same in mixed precision
    averages: Averages = field(default_factory=Averages)  # of the weights, evaluated beside them
    interruption: Interruption = field(default_factory=Interruption)  # polled at steps and batches
    about: dict[str, Any] = field(default_factory=dict)  # further entries of checkpoints

    def __post_init__(self) -> None:
        self.train_loader = self.loaders["train"]  # its length: steps per epoch
        self.stochastic = runtime.follow_seed(self.model)
        self.metric_driven = isinstance(self.scheduler, ReduceLROnPlateau)
        criterion = nn.CrossEntropyLoss(label_smoothing=self.label_smoothing)
        parts = (self.model, criterion, self.optimizer, self.clip_grad_norm)
        self.update = EagerUpdate(*parts)
        if self.graph or self.amp:
            self.update = GraphUpdate(*parts, self.amp, self.stochastic)
        self.step = 0  # updates made
        self.first_step = 0  # at which this run's own curve begins: not 0 in a fork
        self.saved_step = 0  # of the newest checkpoint
        self.applied: list[list[float]] = []  # rates per step, one for each parameter group
        self.plateau_metrics: dict[int, float] = {}  # by the number of updates made before
        self.last: dict[str, float] = {}  # the newest evaluation
        self.best: dict[str, float] = {}  # the one with the highest top-1; the first of equals

    def fit(self) -> None:
        """Train to `stop_step`, with evaluations and checkpoints on the way and at the end.

        Raises:
            Interrupted: it was asked to stop; the last step is saved.
            FloatingPointError: a loss or a weight is not finite; nothing is saved after that.
            OSError: something could not be written.
        """
        try:
            self.finish_step()  # the evaluation that an interruption has cut off
            while self.step < self.stop_step:
                self.train_epoch()
        except Interrupted:
            if self.saved_step != self.step:
                self.save()
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
        """Evaluate and save where it is time to; skip what has been done before."""
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
        loss, correct = self.update(images, labels)
        self.recorder.train_step(self.step, rates, loss, correct, len(labels))
        if not self.metric_driven:
            self.scheduler.step()
        self.applied.append(rates)
        self.step += 1

    def validate(self) -> bool:
        """Evaluate on the held-out split; return whether this is the best evaluation so far."""
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
        """Refuse to evaluate or save after a loss, or with a weight, that is not finite.

        Raises:
            FloatingPointError: names the step and its learning rates.
        """
        self.recorder.flush()
        if self.applied and not all(np.isfinite(p.numpy()).all() for p in self.model.parameters()):
            where = f"after step {self.step - 1} {describe_rates(self.applied[-1])}"
            raise FloatingPointError(f"The weights are not finite {where}")

    def test(self) -> dict[str, float]:
        """Evaluate on the test split: once, when training is over."""
        metrics = self.averages.evaluate(self.evaluate, self.loaders["test"])
        self.recorder.evaluation("test", self.step, self.epoch, self.rates, metrics)
        return metrics

    def evaluate(self, loader: Loader) -> dict[str, float]:
        """Return mean loss (no smoothing), top-1 and top-5 accuracy in percent over a split."""
        self.model.eval()
        ranks.broadcast_buffers(self.model)
        criterion = nn.CrossEntropyLoss(reduction="sum")
        sums: list[flow.Tensor] = []  # per batch: summed loss, top-1 and top-5 hits
        count = 0
        with flow.no_grad():
            for images, labels in loader.epoch():
                self.interruption.poll()
                local_labels = ranks.local_part(labels)  # (m,)
                logits = self.model(images)  # (m, classes)
                guesses = logits.topk(min(5, logits.shape[1]), dim=1)[1]  # (m, 5), best first
                hits = (guesses == local_labels.reshape(-1, 1)).float()
                loss = criterion(logits, local_labels)
                batch = flow.stack([loss, hits[:, 0].sum(), hits.sum()])
                sums.append(ranks.local_sums(batch, len(labels)))
                count += len(labels)
        self.model.train()
        # numpy adds the batches in float64: float32 would lose hits in a large split
        total = ranks.add(flow.stack(sums).numpy().astype("float64").sum(axis=0))
        loss, top1, top5 = map(float, total)
        return {"loss": loss / count, "top1": 100 * top1 / count, "top5": 100 * top5 / count}

    def save(self, best: bool = False) -> None:
        """Write a checkpoint, after all that was recorded before it."""
        self.check()
        self.recorder.sync()
        if ranks.RANK == 0:
            folder = self.recorder.folder / "checkpoints"
            content = self.model.state_dict(), self.applied, self.state()
            write_checkpoint(folder, *content, best=best, keep_last=self.keep_last)
        self.saved_step = self.step

    def state(self) -> dict[str, Any]:
        """Return all that a checkpoint holds besides the weights and the applied rates."""
        names = ("step", "epoch", "first_step", "rates", "last", "best", "plateau_metrics")
        return {
            **{name: getattr(self, name) for name in names},
            "averages": {average.name: average.state() for average in self.averages.each},
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
