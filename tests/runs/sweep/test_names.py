"""The names of a sweep's folders, from command lines."""

import pytest

from runs.sweep.names import add_sweep_settings, name_job, safe_name


@pytest.mark.parametrize(
    ("command", "job", "sweep", "name"),
    [
        ("experiment=a seed=0,1", "experiment=a seed=0", "experiment=a", "seed=0"),
        ("scheduler=step seed=0", "seed=0 scheduler=step", "default", "scheduler=step,seed=0"),
        ("epochs=3", "epochs=3", "epochs=3", "default"),
        ("opt.lr=0.1,0.2 epochs=1 epochs=3", "opt.lr=0.2", "epochs=3", "opt.lr=0.2"),
        ("x=tag(log,interval(0.01,1)) seed=0", "x=0.0123 seed=0", "default", "seed=0,x=0.0123"),
        ("+model.depth=2,3", "+model.depth=2", "default", "+model.depth=2"),
        # Where and how it runs defines nothing, unless it is what is varied.
        ("device=cpu lint=off dataset.root=/x seed=0,1", "device=cpu seed=1", "default", "seed=1"),
        ("device=cpu,cuda", "device=cuda", "default", "device=cuda"),
        ("hydra.x=y hydra/launcher=joblib seed=0,1", "seed=1", "default", "seed=1"),
        ("epochs=3 batch_size=[ seed=0,1", "seed=1", "epochs=3", "seed=1"),  # Hydra refuses it
    ],
)
def test_names(command, job, sweep, name):
    settings = dict(word.split("=", 1) for word in add_sweep_settings(command.split()))
    assert settings["hydra.sweep.dir"] == f"'multirun/{sweep}'"
    shared = settings["hydra.job.config.override_dirname.exclude_keys"].strip("[]").split(",")
    assert name_job(job.split(), shared) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fork='../a run/b'", "fork=-..-a-run-b--e32be269"),
        ("fork='../a_run/b'", "fork=-..-a_run-b--0306e454"),
        ("scheduler.milestones=[10ep,20ep]", "scheduler.milestones=-10ep,20ep--262ad1b6"),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 120 + "-79072a47"),
    ],
)
def test_a_text_that_is_no_name_becomes_one(text, name):
    assert safe_name(text) == name


def test_settings_stand_after_options_and_before_overrides():
    words = ["--config-dir", "x", "-m", "hydra/sweeper=optuna", "seed=0,1", "epochs=3"]
    assert add_sweep_settings(words) == [
        *words[:3],
        "hydra/hydra_logging=none",
        "hydra/job_logging=none",
        "hydra.output_subdir=null",
        "hydra.sweep.dir='multirun/epochs=3'",
        "hydra.job.config.override_dirname.exclude_keys=[epochs]",
        "+hydra/our_sweeper=optuna",
        *words[3:],
    ]
