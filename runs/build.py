"""Build the parts of a run from its config: horizon, schedule, optimizer, trainer."""

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from runs.settings import read_cadence, read_swa

if TYPE_CHECKING:
    from engine.process.signals import Interruption
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)

TRAINER_KEYS = (
    "clip_grad_norm",
    "label_smoothing",
    "keep_last",
    "graph",
    "amp",
)


def build_horizon(config: DictConfig) -> "Horizon":
    """The length of the run, from sizes in the config alone: no data is read."""
    import engine  # noqa: F401  (prepares the process for OneFlow)
    from data import split_sizes
    from schedulers import Horizon

    steps_per_epoch = ceil(split_sizes(config.dataset)[0] / config.batch_size)
    return Horizon(config.epochs * steps_per_epoch, steps_per_epoch)


def base_lrs(node: DictConfig) -> list[float]:
    """The base rate of each parameter group that `train.build_optimizer` makes from this node."""
    return [float(node.lr)] * (1 if node.decay_norm_and_bias else 2)


def plan_rates(
    config: DictConfig, horizon: "Horizon", metrics: dict[int, float]
) -> list[list[float]]:
    """The previewed rates: one list per step, with one rate per parameter group."""
    from schedulers import trace_lr

    groups = trace_lr(config.scheduler, base_lrs(config.optimizer), horizon, metrics=metrics)
    return [list(rates) for rates in zip(*groups, strict=True)]


def check_schedule(config: DictConfig, horizon: "Horizon") -> None:
    """Refuse a schedule that cannot be built or followed, and lint it as the key `lint` says."""
    from data import split_sizes
    from schedulers.lint import lint_trace

    findings = lint_trace(config.scheduler, base_lrs(config.optimizer), horizon)
    if findings and config.lint == "error":
        raise ValueError("lint=error: " + "; ".join(str(finding) for finding in findings) + ".")
    if config.lint == "warn":
        for finding in findings:
            log.warning("Lint: %s", finding)
    target = str(config.scheduler.get("_target_"))
    if target.endswith("ReduceLROnPlateau") and split_sizes(config.dataset)[1] == 0:
        raise ValueError(
            "dataset.val_size=0: ReduceLROnPlateau follows the validation split; expected at "
            "least 1."
        )


def build_trainer(
    config: DictConfig,
    horizon: "Horizon",
    device: str,
    interruption: "Interruption",
    recorder: Any = None,
) -> "Trainer":
    """Build every part of a run, from the data to the trainer.

    Without a recorder there will be one that writes to the run folder.
    """
    import oneflow as flow

    from data import BatchLoader, build_dataset
    from engine.averaging import build_averages
    from engine.process import ranks
    from engine.process.machine import versions
    from engine.recorder import Recorder
    from engine.trainer import Trainer
    from schedulers import build_scheduler

    cadence = read_cadence(config, horizon)
    flow.manual_seed(config.seed)
    model = build_part(config.model, "model").to(device)
    optimizer = build_optimizer(config.optimizer, model)
    scheduler = build_scheduler(config.scheduler, optimizer, horizon)
    dataset = build_dataset(config.dataset)
    shared = {
        "batch_size": config.batch_size,
        "mean": dataset.mean,
        "std": dataset.std,
        "device": device,
        "part": ranks.part,
    }
    loaders = {
        "train": BatchLoader(
            dataset.train,
            **shared,
            seed=config.seed,
            augment=config.dataset.augment,
            shuffle=True,
            classes=len(dataset.class_names),
        ),
        "val": BatchLoader(dataset.val, **shared),
        "test": BatchLoader(dataset.test, **shared),
    }
    folder = Path(HydraConfig.get().runtime.output_dir)
    stop_step = min(config.max_steps or horizon.total_steps, horizon.total_steps)
    return Trainer(
        model,
        optimizer,
        scheduler,
        loaders,
        recorder or Recorder(folder, stop_step, cadence["log_every"], silent=ranks.RANK > 0),
        stop_step=stop_step,
        eval_every=cadence["eval_every"],
        checkpoint_every=cadence["checkpoint_every"],
        **{key: config.trainer[key] for key in TRAINER_KEYS},
        averages=build_averages(
            model,
            loaders["train"].epoch,
            interruption.poll,
            ema_decay=config.trainer.ema_decay,
            **read_swa(config, horizon),
        ),
        seed=config.seed,
        interruption=interruption,
        about={
            "config": OmegaConf.to_container(config, resolve=True),
            "versions": versions(),
            "ranks": ranks.SIZE,
        },
    )


def build_part(node: DictConfig, key: str, *args: Any, **kwargs: Any) -> Any:
    """Instantiate a node; a target that is missing or refuses its arguments is a ValueError."""
    try:
        return hydra.utils.instantiate(node, *args, _convert_="all", **kwargs)
    except (InstantiationException, AssertionError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"{key}: {node._target_} cannot be built: {reason}") from error


def build_optimizer(node: DictConfig, model: Any) -> Any:
    """The optimizer of a node over a model's parameters.

    With `decay_norm_and_bias: false` there are two groups: the weights, and without weight decay
    all parameters of fewer than two dimensions (norms' scales and shifts, biases).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": parameters}]
    if not node.decay_norm_and_bias:
        vectors = [parameter for parameter in parameters if parameter.ndim < 2]
        weights = [parameter for parameter in parameters if parameter.ndim >= 2]
        if not vectors or not weights:
            raise ValueError(
                "optimizer.decay_norm_and_bias=false: this model has no two kinds of parameters; "
                "expected true."
            )
        groups = [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]
    settings = OmegaConf.masked_copy(node, [key for key in node if key != "decay_norm_and_bias"])
    return build_part(settings, "optimizer", groups)
