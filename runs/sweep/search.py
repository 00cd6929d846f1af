"""A search (hydra/sweeper=optuna) that continues where it was stopped.

The study is a database in the sweep's folder; a trial's job has a folder named after its values. A
trial that was cut is queued again with the same values, so its job is found and continues.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, read_write

from common.checks import check_integer, refusal
from runs.sweep.job import read_record
from runs.sweep.names import name_job, parse


def prepare_search(config: DictConfig) -> None:
    """Queue the trials that were cut, and set `n_trials` to the number that is still missing."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of enqueue_trial
    study = open_study(config)
    trials = study.get_trials(deepcopy=False)
    queued = [t.system_attrs["fixed_params"] for t in trials if t.state == TrialState.WAITING]
    for trial in [trial for trial in trials if was_cut(trial, config)]:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.params not in queued:
            study.enqueue_trial(trial.params)
            queued.append(trial.params)
    done = sum(trial.state == TrialState.COMPLETE for trial in trials)
    with read_write(config.hydra):
        config.hydra.sweeper.n_trials = max(0, config.hydra.sweeper.n_trials - done)


def check_search(config: DictConfig) -> None:
    """Refuse a search that could find nothing."""
    import engine  # noqa: F401  (prepares the process for OneFlow, before signals are handled)
    from data import split_sizes

    settings = config.hydra.sweeper
    swept = [word for word in parse(config.hydra.overrides.task) if word.is_sweep_override()]
    if not swept and not settings.params:
        raise ValueError(
            "hydra/sweeper=optuna: expected a key with values to search, such as "
            "'optimizer.lr=tag(log,interval(1e-3,1))'."
        )
    if split_sizes(config.dataset)[1] == 0:
        raise refusal("dataset.val_size", 0, "at least 1: a search maximizes its accuracy")
    for key in ("n_trials", "n_jobs"):
        check_integer(f"hydra.sweeper.{key}", settings[key], 1)


def open_study(config: DictConfig) -> Any:
    """Return the study in a sweep's folder; make it if it is missing, or raise a ValueError."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    settings = config.hydra.sweeper
    Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
    try:
        return optuna.create_study(
            study_name=settings.study_name,
            storage=settings.storage,
            direction=settings.direction,
            load_if_exists=True,
        )
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"hydra.sweeper.storage={settings.storage}: {reason}") from error


def was_cut(trial: Any, config: DictConfig) -> bool:
    """Return whether a trial's job started in this folder and neither completed nor failed."""
    from optuna.trial import TrialState

    if trial.state not in (TrialState.RUNNING, TrialState.FAIL):
        return False
    words = [f"{key}={value}" for key, value in (trial.params | trial.user_attrs).items()]
    name = name_job(words, config.hydra.job.config.override_dirname.exclude_keys)
    state = read_record(Path(config.hydra.sweep.dir) / name).get("state")
    # The study may have missed the end of a job: it is found done when its trial comes again.
    return state in ("running", "interrupted") or bool(state and trial.state == TrialState.RUNNING)


def describe_best(config: DictConfig) -> str:
    """Return a sentence with the best trial so far."""
    from optuna.trial import TrialState

    study = open_study(config)
    if not (trials := study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])):
        return "The search has no completed trial."
    words = " ".join(f"{key}={value}" for key, value in study.best_trial.params.items())
    return f"best of {len(trials)} trials: {study.best_value:.2f} % validation top-1 with {words}"
