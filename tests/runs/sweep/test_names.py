"""The names of a sweep's folders, from command lines."""

import pytest

from runs.sweep.names import add_sweep_settings, name_job, name_sweep

WIDE = "model._target_=my_nets.Wide"


def shared_keys(arguments):
    """The keys that all jobs of a command line share, as Hydra is told of them."""
    setting = next(word for word in add_sweep_settings(arguments) if "exclude_keys" in word)
    return setting.partition("=")[2].strip("[]").split(",")


@pytest.mark.parametrize(
    ("command", "job", "sweep", "name"),
    [
        (
            "experiment=quickstart scheduler=step,rex seed=0,1",
            "experiment=quickstart scheduler=step seed=0",
            "experiment=quickstart",
            "scheduler=step,seed=0",
        ),
        # the same job, however it is asked for
        (
            "seed=0 scheduler=step experiment=quickstart",
            "seed=0 scheduler=step experiment=quickstart",
            "experiment=quickstart",
            "scheduler=step,seed=0",
        ),
        ("scheduler=glob(*)", "scheduler=rex", "default", "scheduler=rex"),
        ("epochs=3", "epochs=3", "epochs=3", "default"),
        (
            "optimizer.lr=0.1,0.2 epochs=1 epochs=3",  # the last one counts
            "optimizer.lr=0.2 epochs=3",
            "epochs=3",
            "optimizer.lr=0.2",
        ),
        (
            "optimizer.lr=tag(log,interval(0.01,1)) seed=0",
            "optimizer.lr=0.0123 seed=0",
            "default",
            "optimizer.lr=0.0123,seed=0",
        ),
        ("+model.depth=2,3", "+model.depth=2", "default", "+model.depth=2"),
        # where and how it runs defines nothing, unless it is what is varied
        (
            "device=cpu lint=off dataset.root=/data seed=0,1 trainer.log_every=5 dry_run=true",
            "device=cpu lint=off dataset.root=/data seed=1 trainer.log_every=5 dry_run=true",
            "default",
            "seed=1",
        ),
        ("device=cpu,cuda", "device=cuda", "default", "device=cuda"),
        ("hydra.sweep.dir=x hydra/launcher=joblib seed=0,1", "seed=1", "default", "seed=1"),
    ],
)
def test_names(command, job, sweep, name):
    shared = shared_keys(command.split())
    assert name_sweep(command.split(), shared) == name_sweep(job.split(), shared) == sweep
    assert name_job(job.split(), shared) == name


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("fork='../a run/b'", "fork=-..-a-run-b--e32be269"),
        ("fork='../a_run/b'", "fork=-..-a_run-b--0306e454"),
        ("scheduler.milestones=[10ep,20ep]", "scheduler.milestones=-10ep,20ep--262ad1b6"),
    ],
)
def test_what_is_no_name_of_a_folder_becomes_one(word, name):
    assert name_job([word], []) == name


def test_long_names_are_cut_and_stay_different():
    names = {name_job([f"model._target_={'x' * 300}{end}"], []) for end in "ab"}
    assert len(names) == 2 and {len(name) for name in names} == {129}


def test_what_hydra_is_told():
    words = ["--config-dir", "x", "-m", "hydra/launcher=joblib", "seed=0,1", "epochs=3", WIDE]
    told = add_sweep_settings(words)
    assert told[:3] == words[:3] and told[-4:] == words[-4:]
    assert told[3:-4] == [
        "hydra/hydra_logging=none",
        "hydra/job_logging=none",
        "hydra.output_subdir=null",
        "hydra.job.config.override_dirname.exclude_keys=[epochs,model._target_]",
    ]
