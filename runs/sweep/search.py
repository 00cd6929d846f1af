"""What a search (hydra/sweeper=optuna) needs besides Optuna: to go on where it was stopped.

The study lies in a database in the sweep's folder, and a trial's job in a folder that its values
name. So a trial that was cut is put into the queue once more, with the same values: its job is then
found, and continues.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, read_write

from runs.sweep.job import read_record
from runs.sweep.names import name_job, parse


def prepare_search(config: DictConfig) -> None:
    """Queue the trials that were cut, and leave only those to do that are still missing.

    Raises:
        ValueError: the database cannot be used.
    """
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of enqueue_trial
    study = open_study(config)
    trials = study.get_trials(deepcopy=False)
    queued = (trial for trial in trials if trial.state == TrialState.WAITING)
    waiting = [trial.system_attrs["fixed_params"] for trial in queued]
    for trial in trials:
        if was_cut(trial, config):
            if trial.state == TrialState.RUNNING:
                study.tell(trial.number, state=TrialState.FAIL)
            if trial.params not in waiting:
                study.enqueue_trial(trial.params)
                waiting.append(trial.params)
    done = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
    with read_write(config.hydra):
        config.hydra.sweeper.n_trials = max(0, config.hydra.sweeper.n_trials - done)


def check_search(config: DictConfig) -> None:
    """Refuse a search that could find nothing.

    Raises:
        ValueError: names the key and what is accepted.
    """
    import engine  # noqa: F401  (prepares the process, before anything listens to signals)
    from common.checks import check_integer
    from data import split_sizes

    settings = config.hydra.sweeper
    swept = [o for o in parse(config.hydra.overrides.task) if o.is_sweep_override()]
    if not swept and not settings.params:
        raise ValueError(
            "hydra/sweeper=optuna: no key has values to search; expected one such as "
            "'optimizer.lr=tag(log,interval(1e-3,1))'."
        )
    if split_sizes(config.dataset)[1] == 0:
        raise ValueError(
            "dataset.val_size=0: a search goes by the accuracy on the validation split; expected "
            "at least 1."
        )
    for key in ("n_trials", "n_jobs"):
        check_integer(f"hydra.sweeper.{key}", settings[key], 1)


def open_study(config: DictConfig) -> Any:
    """The study of a sweep's folder, made where it is missing.

    Raises:
        ValueError: the database cannot be used.
    """
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
    """Whether a trial began here and neither ended nor failed: its job's folder tells."""
    from optuna.trial import TrialState

    if trial.state not in (TrialState.RUNNING, TrialState.FAIL):
        return False
    words = [f"{key}={value}" for key, value in (trial.params | trial.user_attrs).items()]
    shared = config.hydra.job.config.override_dirname.exclude_keys
    record = read_record(Path(config.hydra.sweep.dir) / name_job(words, shared), since=0.0)
    return bool(record) and (
        trial.state == TrialState.RUNNING or record["state"] in ("running", "interrupted")
    )


def best_of_search(config: DictConfig) -> str:
    """The sentence that tells what a search has found so far."""
    from optuna.trial import TrialState

    study = open_study(config)
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if not trials:
        return "The search has no trial that ended well."
    best = study.best_trial
    words = " ".join(f"{key}={value}" for key, value in best.params.items())
    return f"best of {len(trials)} trials: {best.value:.2f} % validation top-1 with {words}"
