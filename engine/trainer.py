"""The training loop."""

from collections.abc import Iterator
from typing import Any, Protocol

import oneflow as flow
from oneflow import nn
from oneflow.optim.lr_scheduler import ReduceLROnPlateau

from engine import runtime
from engine.checkpoint import write_checkpoint
from engine.recorder import Recorder

Batch = tuple[flow.Tensor, flow.Tensor]  # images (n, 3, 32, 32) float32, labels (n,) int64


class Loader(Protocol):
    """What the trainer needs of a loader: its length in steps, and an epoch's batches."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int = 0, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from its step `start_step` on."""
        ...


class Trainer:
    """Trains a model and evaluates it, one optimizer update after the other.

    Everything random is a function of (seed, epoch, step): the loader sees to order and
    augmentation, `train_step` to dropout. So a step's result does not depend on what else ran.

    Args:
        model: maps images (n, 3, 32, 32) to logits (n, classes); on its device already.
        optimizer: its parameter groups' `lr` are the rates in force.
        scheduler: steps after every update, ReduceLROnPlateau after every evaluation instead.
        loaders: `train` (its length is the number of steps per epoch), `val` (of length 0 where
            nothing is held out) and `test`.
        recorder: told of every step and evaluation; knows the run folder.
        stop_step: how many updates to make.
        eval_every: steps between evaluations; one more is made at the end.
        checkpoint_every: steps between checkpoints; one more is written at the end.
        clip_grad_norm: the largest norm of the whole gradient, or None.
        label_smoothing: 0 <= value < 1, for the training loss only.
        seed: of the dropout masks.
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
        clip_grad_norm: float | None = None,
        label_smoothing: float = 0.0,
        seed: int = 0,
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
        self.clip_grad_norm = clip_grad_norm
        self.seed = seed
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.stochastic = runtime.follow_seed(model)
        self.metric_driven = isinstance(scheduler, ReduceLROnPlateau)
        self.step = 0  # updates made
        self.applied: list[list[float]] = []  # rates per step, one for each parameter group
        self.plateau_metrics: dict[int, float] = {}  # by the number of updates made before
        self.last: dict[str, float] = {}  # the newest evaluation
        self.best: dict[str, float] = {}  # the one with the highest top-1; the first of equals

    def fit(self) -> None:
        """Train to `stop_step`, with evaluations and checkpoints on the way and at the end."""
        while self.step < self.stop_step:
            self.train_epoch()
        self.recorder.flush()

    def train_epoch(self) -> None:
        """Make the steps that are left of the current epoch, or up to `stop_step`."""
        epoch, start_step = divmod(self.step, len(self.train_loader))
        self.model.train()
        for images, labels in self.train_loader.epoch(epoch, start_step):
            self.train_step(images, labels)
            done = self.step == self.stop_step
            if done or self.step % self.eval_every == 0:
                self.validate()
            if done or self.step % self.checkpoint_every == 0:
                self.save("last")
            if done:
                return

    def train_step(self, images: flow.Tensor, labels: flow.Tensor) -> None:
        """Make one update with a batch: images (n, 3, 32, 32), labels (n,)."""
        rates = self.rates  # read before anything moves: the rates that this update uses
        if self.stochastic:
            flow.manual_seed((self.seed * 1_000_003 + self.step) % 2**31)
        logits = self.model(images)  # (n, classes)
        loss = self.criterion(logits, labels)
        loss.backward()
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(list(self.model.parameters()), self.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if not self.metric_driven:
            self.scheduler.step()
        correct = (logits.detach().argmax(dim=1) == labels).sum()
        self.recorder.train_step(self.step, rates, loss.detach(), correct, len(labels))
        self.applied.append(rates)
        self.step += 1

    def validate(self) -> None:
        """Evaluate on the held-out split, keep the best, and step a metric-driven scheduler."""
        self.recorder.flush()  # nothing is evaluated or saved after a loss that is not finite
        if not len(self.loaders["val"]):
            return
        metrics = self.evaluate(self.loaders["val"])
        self.last = {"step": self.step, **metrics}
        self.recorder.evaluation("val", self.step, self.epoch, self.rates, metrics)
        if not self.best or metrics["top1"] > self.best["top1"]:
            self.best = self.last
            self.save("best")
        if self.metric_driven:
            metric = metrics["loss" if self.scheduler.mode == "min" else "top1"]
            self.plateau_metrics[self.step] = metric
            self.scheduler.step(metric)

    def test(self) -> dict[str, float]:
        """Evaluate on the test split: once, when training is over."""
        metrics = self.evaluate(self.loaders["test"])
        self.recorder.evaluation("test", self.step, self.epoch, self.rates, metrics)
        return metrics

    def evaluate(self, loader: Loader) -> dict[str, float]:
        """Mean loss (no smoothing), top-1 and top-5 accuracy in percent over a loader's images."""
        self.model.eval()
        criterion = nn.CrossEntropyLoss(reduction="sum")
        sums: list[flow.Tensor] = []  # per batch: summed loss, top-1 and top-5 hits
        images_seen = 0
        with flow.no_grad():
            for images, labels in loader.epoch():
                logits = self.model(images)  # (n, classes)
                guesses = logits.topk(min(5, logits.shape[1]), dim=1)[1]  # (n, 5), best first
                hits = (guesses == labels.reshape(-1, 1)).float()
                sums.append(flow.stack([criterion(logits, labels), hits[:, 0].sum(), hits.sum()]))
                images_seen += len(labels)
        self.model.train()
        # numpy adds the batches in float64: float32 would lose hits in a large split
        loss, top1, top5 = map(float, flow.stack(sums).numpy().astype("float64").sum(axis=0))
        count = images_seen
        return {"loss": loss / count, "top1": 100 * top1 / count, "top5": 100 * top5 / count}

    def save(self, name: str) -> None:
        """Write the checkpoint `checkpoints/<name>`."""
        self.recorder.flush()
        state = {"step": self.step, "epoch": self.epoch, "last": self.last, "best": self.best}
        write_checkpoint(self.recorder.folder / "checkpoints" / name, self.model, state)

    @property
    def rates(self) -> list[float]:
        """The learning rates in force, one per parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    @property
    def epoch(self) -> float:
        """Epochs done, with their fraction."""
        return self.step / len(self.train_loader)
