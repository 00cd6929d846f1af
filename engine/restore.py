"""Continue a run from a checkpoint, as if it had never stopped, or fork another run from it."""

import contextlib
import io
from typing import Any

from engine.checkpoint import Checkpoint, reason
from engine.trainer import Trainer


def resume(trainer: Trainer, checkpoint: Checkpoint, same_horizon: bool = True) -> None:
    """Put a new trainer, built from the run's config, where the run was at the checkpoint.

    Without `same_horizon` the run is no longer as long as it was. Durations in the scheduler's
    state may be of the old length: its steps are made again instead.

    Raises:
        ValueError: the checkpoint is of another model, optimizer or scheduler.
    """
    state = checkpoint.state
    with refusing_damage(checkpoint):
        load_model(trainer, checkpoint)
        load_optimizer(trainer.optimizer, state["optimizer"])
        trainer.update.load_state(state.get("update", {}))
        if same_horizon or trainer.metric_driven:
            load_scheduler(trainer.scheduler, state["scheduler"])
        else:
            advance(trainer.scheduler, state["step"])
        for name in ("step", "first_step", "last", "best", "plateau_metrics"):
            setattr(trainer, name, state[name])
        trainer.saved_step = trainer.step
        trainer.applied = checkpoint.applied.tolist()
        for average in trainer.averages.each:
            average.load_state(state["averages"][average.name])
        here = trainer.last.get("step") == trainer.step
        metrics = {key: value for key, value in trainer.last.items() if key != "step"}
        trainer.recorder.continue_from(trainer.step, state["recorder"], metrics if here else {})
        rates = trainer.rates
        if same_horizon and rates != state["rates"]:
            raise ValueError(f"the restored rates are {rates}, and were {state['rates']}")


def fork(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put a new trainer's model and optimizer where another run's were, under its own schedule.

    The schedule goes on at the checkpoint's step, as if it had been used from the start;
    ReduceLROnPlateau and the means of the weights start there. The optimizer keeps the settings
    that it was built with.

    Raises:
        ValueError: the checkpoint is of another model or optimizer.
    """
    state = checkpoint.state
    with refusing_damage(checkpoint):
        load_model(trainer, checkpoint)
        settings = trainer.optimizer.state_dict()["param_groups"]
        load_optimizer(trainer.optimizer, state["optimizer"] | {"param_groups": settings})
        trainer.step = trainer.saved_step = trainer.first_step = state["step"]
        sums = state["recorder"] | {"train_images": 0, "train_seconds": 0.0, "seconds": 0.0}
        trainer.recorder.load_state(sums)
        trainer.recorder.step = trainer.step
    if not trainer.metric_driven:
        advance(trainer.scheduler, trainer.step)


@contextlib.contextmanager
def refusing_damage(checkpoint: Checkpoint) -> Any:
    """Turn any error within the block into one sentence: the checkpoint does not fit."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        message = f"{checkpoint.folder} does not fit this run: {reason(error)}."
        raise ValueError(message) from error


def load_model(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Load parameters and buffers; refuse another model's, and name the first that differs."""
    wanted = {name: tuple(tensor.shape) for name, tensor in trainer.model.state_dict().items()}
    found = {name: array.shape for name, array in checkpoint.model.items()}
    if wanted != found:
        every = sorted(wanted.keys() | found.keys())
        name = next(name for name in every if wanted.get(name) != found.get(name))
        raise ValueError(f"it is the checkpoint of another model: {name} differs")
    trainer.model.load_state_dict(checkpoint.model)


def load_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    """Load an optimizer's state; refuse tensors that are not like their parameters.

    OneFlow itself loads any.
    """
    optimizer.load_state_dict(state)
    parameters = [entry for group in optimizer.param_groups for entry in group.parameters]
    buffers = optimizer.state_dict()["state"]
    for index, like in enumerate(parameters):
        for name, buffer in buffers.get(index, {}).items():
            if buffer.shape != like.shape or buffer.dtype != like.dtype:
                raise ValueError(f"{name} of parameter {index} has another shape or type")


def load_scheduler(scheduler: Any, state: dict[str, Any]) -> None:
    """Load a scheduler's state; refuse another scheduler's, which would set foreign attributes."""
    # ReduceLROnPlateau has a last rate only after its first step.
    if scheduler.state_dict().keys() - {"_last_lr"} != state.keys() - {"_last_lr"}:
        raise ValueError(f"its state is not that of {type(scheduler).__name__}")
    scheduler.load_state_dict(state)


def advance(scheduler: Any, steps: int) -> None:
    """Make a new scheduler's first `steps` steps."""
    with contextlib.redirect_stdout(io.StringIO()):  # it may have `verbose: true`
        for _ in range(steps):
            scheduler.step()
