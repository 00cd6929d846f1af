"""A search continues where it was: cut trials come again with their values, others do not."""

import json

import optuna
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from optuna.distributions import LogUniformDistribution
from optuna.trial import TrialState, create_trial

from runs.sweep.names import add_sweep_settings
from runs.sweep.search import check_search, describe_best, open_study, prepare_search
from tests.conftest import ROOT

LR = "optimizer.lr=tag(log,interval(0.001,1))"
SEARCH = ("hydra/sweeper=optuna", "dataset=synthetic", "seed=0", LR)


def compose_sweep(*words):
    """The config of `python train.py -m WORDS`, before its jobs are."""
    words = add_sweep_settings(words)
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        loader = GlobalHydra.instance().config_loader()
        return loader.load_configuration("config", words, run_mode=RunMode.MULTIRUN)


@pytest.fixture
def search(tmp_path):
    """A function that composes a search's config as its command line would."""
    return lambda *words: compose_sweep(*SEARCH, f"hydra.sweep.dir={tmp_path}", *words)


def add(study, folder, lr, state, record=None, value=None):
    """Add a trial to the study, and the record of its job."""
    trial = create_trial(
        state=state,
        value=value,
        params={"optimizer.lr": lr},
        distributions={"optimizer.lr": LogUniformDistribution(0.001, 1)},
        user_attrs={"dataset": "synthetic", "seed": "0"},
    )
    study.add_trial(trial)
    if record:
        job = folder / f"optimizer.lr={lr},seed=0"
        job.mkdir(parents=True)
        (job / ".job.json").write_text(json.dumps({"state": record}))


def waiting(study):
    trials = study.get_trials(states=[TrialState.WAITING])
    return [trial.system_attrs["fixed_params"] for trial in trials]


def test_what_was_cut_comes_again_and_what_is_missing_is_counted(search, tmp_path):
    config = search("hydra.sweeper.n_trials=10")
    study = open_study(config)
    assert describe_best(config) == "The search has no completed trial."
    add(study, tmp_path, 0.01, TrialState.COMPLETE, "completed", value=20.0)
    add(study, tmp_path, 0.02, TrialState.COMPLETE, "completed", value=30.0)
    add(study, tmp_path, 0.3, TrialState.FAIL, "failed")
    add(study, tmp_path, 0.03, TrialState.FAIL, "interrupted")
    add(study, tmp_path, 0.04, TrialState.RUNNING, "running")  # the machine went off
    add(study, tmp_path, 0.05, TrialState.RUNNING, "completed")  # between its end and the study's
    add(study, tmp_path, 0.06, TrialState.RUNNING)  # began in another folder, or not at all
    prepare_search(config)
    assert waiting(study) == [{"optimizer.lr": lr} for lr in (0.03, 0.04, 0.05)]
    assert config.hydra.sweeper.n_trials == 8
    states = [trial.state for trial in open_study(config).trials[3:7]]
    assert states == [TrialState.FAIL] * 3 + [TrialState.RUNNING]
    assert describe_best(config) == (
        "best of 2 trials: 30.00 % validation top-1 with optimizer.lr=0.02"
    )
    # What is queued already is not queued again, also when it began and was cut once more.
    add(study, tmp_path, 0.03, TrialState.RUNNING)
    prepare_search(search())
    assert len(waiting(study)) == 3
    config = search("hydra.sweeper.n_trials=1")
    prepare_search(config)
    assert config.hydra.sweeper.n_trials == 0
    found = optuna.load_study(str(tmp_path), f"sqlite:///{tmp_path}/search.db")
    assert found.direction.name == "MAXIMIZE"


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ((*SEARCH, "hydra/launcher=joblib", "hydra.launcher.n_jobs=3"), "sweeper.n_jobs", 3),
        ((*SEARCH, "hydra.sweeper.n_jobs=4"), "sweeper.n_jobs", 4),
        (("hydra/launcher=submitit_slurm",), "launcher.max_num_timeout", 20),
        (("hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=8"), "launcher.mem_gb", 8),
    ],
)
def test_the_command_line_wins_over_our_settings_of_plugins(words, key, value):
    assert OmegaConf.select(compose_sweep(*words).hydra, key) == value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("optimizer.lr=0.1",), "hydra/sweeper=optuna: expected a key with values to search"),
        (("dataset.val_size=0",), "dataset.val_size=0: expected at least 1: a search maximizes"),
        (("hydra.sweeper.n_trials=0",), "hydra.sweeper.n_trials=0: expected an integer of at l"),
        (("hydra.sweeper.storage=nothing",), "hydra.sweeper.storage=nothing: "),
        (("hydra.sweeper.storage=sqlite:////no/x.db",), "hydra.sweeper.storage=sqlite:////no"),
        (("hydra.sweeper.storage=mysql://a/b",), "hydra.sweeper.storage=mysql://a/b: Failed"),
    ],
)
def test_a_search_that_could_find_nothing_is_refused(search, words, sentence):
    config = search(*words)
    with pytest.raises(ValueError, match=sentence):
        check_search(config)
        open_study(config)
