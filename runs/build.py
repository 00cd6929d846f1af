"""Build the parts of a run from its config: horizon, schedule, optimizer, trainer."""

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from runs.settings import trainer_durations

if TYPE_CHECKING:
    from engine.process.signals import Interruption
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)

TRAINER_KEYS = ("clip_grad_norm", "label_smoothing", "keep_last", "graph", "amp")


def build_horizon(config: DictConfig) -> "Horizon":
    """Return the horizon of a run, from sizes in the config alone: no data is read."""
    import engine  # noqa: F401  (prepares the process for OneFlow)
    from data import split_sizes
    from schedulers import Horizon

    steps_per_epoch = ceil(split_sizes(config.dataset)[0] / config.batch_size)
    return Horizon(config.epochs * steps_per_epoch, steps_per_epoch)


def last_step(config: DictConfig, horizon: "Horizon") -> int:
    """Return after how many steps the run ends: `max_steps`, or the whole horizon."""
    return min(config.max_steps or horizon.total_steps, horizon.total_steps)


def decays_everything(config: DictConfig) -> bool:
    """Return `trainer.decay_norm_and_bias`; null means false for AdamW and LAMB, else true."""
    chosen = config.trainer.decay_norm_and_bias
    if chosen is None:
        return str(config.optimizer.get("_target_")).rsplit(".", 1)[-1] not in ("AdamW", "LAMB")
    return bool(chosen)


def base_lrs(config: DictConfig) -> list[float]:
    """Return the base learning rate of each parameter group that `build_optimizer` makes."""
    return [float(config.optimizer.lr)] * (1 if decays_everything(config) else 2)


def plan_rates(
    config: DictConfig, horizon: "Horizon", metrics: dict[int, float]
) -> list[list[float]]:
    """Return the previewed rates: one list per step, with one rate per parameter group."""
    from schedulers import trace_lr

    groups = trace_lr(config.scheduler, base_lrs(config), horizon, metrics=metrics)
    return [list(rates) for rates in zip(*groups, strict=True)]


def check_schedule(config: DictConfig, horizon: "Horizon") -> None:
    """Refuse a schedule that cannot be built or followed, and lint it as the key `lint` says.

    Raises:
        ValueError: names the key that is wrong, or what lint found with `lint=error`.
    """
    from data import split_sizes
    from schedulers import is_plateau
    from schedulers.lint import lint_trace

    findings = lint_trace(config.scheduler, base_lrs(config), horizon)
    if findings and config.lint == "error":
        raise ValueError("lint=error: " + "; ".join(str(finding) for finding in findings) + ".")
    if config.lint == "warn":
        for finding in findings:
            log.warning("Lint: %s", finding)
    if is_plateau(config.scheduler) and split_sizes(config.dataset)[1] == 0:
        raise ValueError(
            "dataset.val_size=0: expected at least 1, since ReduceLROnPlateau follows the "
            "validation split."
        )


def build_trainer(
    config: DictConfig,
    horizon: "Horizon",
    device: str,
    interruption: "Interruption",
    recorder: Any = None,
) -> "Trainer":
    """Build every part of a run; without a recorder, one that writes to the run folder."""
    import oneflow as flow

    from engine.averaging import build_averages
    from engine.process import ranks
    from engine.process.machine import versions
    from engine.recorder import Recorder
    from engine.trainer import Trainer
    from schedulers import build_scheduler

    steps, stop_step = trainer_durations(config, horizon), last_step(config, horizon)
    flow.manual_seed(config.seed)
    model = build_part(config.model, "model").to(device)
    optimizer = build_optimizer(config, model)
    scheduler = build_scheduler(config.scheduler, optimizer, horizon)
    loaders = build_loaders(config, device)
    if recorder is None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        recorder = Recorder(folder, stop_step, steps["log_every"], silent=ranks.RANK > 0)
    swa = {key: steps[key] for key in steps if key.startswith("swa_")}
    epoch, ema_decay = loaders["train"].epoch, config.trainer.ema_decay
    plain = OmegaConf.to_container(config, resolve=True)
    return Trainer(
        *(model, optimizer, scheduler, loaders, recorder),
        stop_step=stop_step,
        eval_every=steps["eval_every"],
        checkpoint_every=steps["checkpoint_every"],
        **{key: config.trainer[key] for key in TRAINER_KEYS},
        averages=build_averages(model, epoch, interruption.poll, ema_decay=ema_decay, **swa),
        seed=config.seed,
        interruption=interruption,
        about={"config": plain, "versions": versions(), "ranks": ranks.SIZE},
    )


def build_loaders(config: DictConfig, device: str) -> dict[str, Any]:
    """Build the data set and the loaders of its three splits: train, val and test."""
    from data import BatchLoader, build_dataset
    from engine.process import ranks

    dataset = build_dataset(config.dataset)
    shared = {"batch_size": config.batch_size, "mean": dataset.mean, "std": dataset.std}
    shared |= {"device": device, "part": ranks.part}
    training = {"seed": config.seed, "augment": config.augment, "shuffle": True}
    training["classes"] = len(dataset.class_names)
    return {
        "train": BatchLoader(dataset.train, **shared, **training),
        "val": BatchLoader(dataset.val, **shared),
        "test": BatchLoader(dataset.test, **shared),
    }


def build_part(node: DictConfig, key: str, *args: Any) -> Any:
    """Instantiate a node; refuse it where its target is missing or refuses its arguments."""
    try:
        return hydra.utils.instantiate(node, *args, _convert_="all")
    except (InstantiationException, AssertionError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"{key}: {node._target_} cannot be built: {reason}") from error


def build_optimizer(config: DictConfig, model: Any) -> Any:
    """Build the optimizer over a model's parameters.

    Unless all parameters decay (see `decays_everything`) there are two groups: the weights, and
    without weight decay all parameters of fewer than two dimensions (the scales and shifts of
    norms, and biases).

    Raises:
        ValueError: the optimizer refuses its arguments, or a group would be empty.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": parameters}]
    if not decays_everything(config):
        vectors = [parameter for parameter in parameters if parameter.ndim < 2]
        weights = [parameter for parameter in parameters if parameter.ndim >= 2]
        if not vectors or not weights:
            raise ValueError(
                "trainer.decay_norm_and_bias=false: expected true, since this model has no two "
                "kinds of parameters."
            )
        groups = [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]
    return build_part(config.optimizer, "optimizer", groups)
