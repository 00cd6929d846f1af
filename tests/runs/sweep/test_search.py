"""A search goes on where it was: cut trials come again with their values, others do not."""

import json

import optuna
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from optuna.distributions import LogUniformDistribution
from optuna.trial import TrialState, create_trial

from runs.sweep.names import DEFAULTS, add_sweep_settings
from runs.sweep.search import best_of_search, check_search, open_study, prepare_search
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
    """Add a trial to the study, and what the sweep has left of its job."""
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
    return [
        trial.system_attrs["fixed_params"]
        for trial in study.trials
        if trial.state == TrialState.WAITING
    ]


def test_what_was_cut_comes_again_and_what_is_missing_is_counted(search, tmp_path):
    config = search("hydra.sweeper.n_trials=10")
    study = open_study(config)
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
    states = [trial.state for trial in open_study(config).trials[:7]]
    assert states[3:] == [TrialState.FAIL] * 3 + [TrialState.RUNNING]
    assert best_of_search(config) == (
        "best of 2 trials: 30.00 % validation top-1 with optimizer.lr=0.02"
    )


def test_what_waits_already_is_not_queued_twice(search, tmp_path):
    config = search()
    study = open_study(config)
    add(study, tmp_path, 0.03, TrialState.FAIL, "interrupted")
    prepare_search(config)
    prepare_search(search())
    add(study, tmp_path, 0.03, TrialState.RUNNING)  # it began, and was cut once more
    prepare_search(search())
    assert waiting(study) == [{"optimizer.lr": 0.03}]


def test_a_search_that_is_complete_has_nothing_left_to_do(search, tmp_path):
    config = search("hydra.sweeper.n_trials=1")
    for lr in (0.01, 0.02):
        add(open_study(config), tmp_path, lr, TrialState.COMPLETE, "completed", value=20.0)
    prepare_search(config)
    assert config.hydra.sweeper.n_trials == 0


def test_a_search_looks_for_the_highest_and_keeps_its_study_in_the_folder(search, tmp_path):
    config = search()
    prepare_search(config)
    study = optuna.load_study(str(tmp_path), f"sqlite:///{tmp_path}/search.db")
    assert study.direction.name == "MAXIMIZE"
    assert best_of_search(config) == "The search has no trial that ended well."


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ((), "n_jobs", 1),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=3"), "n_jobs", 3),
        (("hydra.sweeper.n_jobs=4",), "n_jobs", 4),
        (("hydra.sweeper.storage=sqlite:///other.db",), "storage", "sqlite:///other.db"),
    ],
)
def test_the_command_line_wins_over_our_defaults(search, words, key, value):
    assert search(*words).hydra.sweeper[key] == value


def test_a_slurm_job_gets_our_defaults_and_they_fit_the_plugin():
    words = ("hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=8")
    launcher = compose_sweep(*words).hydra.launcher
    assert (launcher.mem_gb, launcher.cpus_per_task, launcher.max_num_timeout) == (8, 2, 20)
    assert len(DEFAULTS["hydra/launcher=submitit_slurm"]) == 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("optimizer.lr=0.1",), "hydra/sweeper=optuna: no key has values to search; expected one"),
        (("dataset.val_size=0",), "dataset.val_size=0: a search goes by the accuracy"),
        (
            ("hydra.sweeper.n_trials=0",),
            "hydra.sweeper.n_trials=0: expected an integer",
        ),
        (("hydra.sweeper.storage=nothing",), "hydra.sweeper.storage=nothing: "),
        (("hydra.sweeper.storage=sqlite:////no/x.db",), "hydra.sweeper.storage=sqlite:////no"),
        (
            ("hydra.sweeper.storage=mysql://a/b",),
            "hydra.sweeper.storage=mysql://a/b: Failed",
        ),
    ],
)
def test_a_search_that_could_find_nothing_is_refused(search, words, sentence):
    config = search(*words)
    with pytest.raises(ValueError, match=sentence):
        check_search(config)
        open_study(config)
