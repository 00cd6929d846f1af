"""A sweep as a whole: what it refuses, what it prints, what is left of it when it is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from common.files import lock
from runs.command_line import run_command
from runs.sweep.callback import report, run_sweep
from runs.sweep.job import SWEEP_PID, run_job, wait_until_free
from runs.sweep.slots import SLOTS
from tests.conftest import ROOT, TINY
from tests.helpers.continuing import LONG, check_equal, evidence, finish, start, wait_for
from train import train


@pytest.fixture
def sweep_here(tmp_path, monkeypatch, capsys):
    """A function that makes a sweep in this process: (exit code or sentence, what was printed).

    Its jobs do what `task` does, as they would in Hydra's basic launcher.
    """

    def run(*arguments, task=run_job, sweep=run_sweep):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", "-m", *TINY, *arguments])
        for name in ("HYDRA_FULL_ERROR", SWEEP_PID, SLOTS):
            monkeypatch.setenv(name, "")  # so that it is taken back afterwards
        GlobalHydra.instance().clear()
        try:
            run_command(train, sweep=sweep and partial(sweep, run=task))
        except SystemExit as stop:
            return stop.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["scheduler=step,nope"], "scheduler/nope"),
        (["scheduler=step,rex", "scheduler.gama=1"], "has no key 'gama'"),
        (["seed=0,1,-3"], "the job seed=-3 cannot run: seed=-3: expected an integer from 0"),
        (["batch_size=2", "scheduler.step_size=9ep", "scheduler=step", "lint=error"], "lint="),
        (["seed=0,1", "hydra.sweep.subdir=x"], "two jobs would share the folder"),
        (["hydra/sweeper=optuna"], "hydra/sweeper=optuna: expected a key with values to search"),
    ],
)
def test_a_sweep_that_cannot_run_is_refused_before_it_starts(sweep_here, tmp_path, words, sentence):
    def task(config):
        raise AssertionError("a job was started")

    code, out = sweep_here(*words, task=task)
    assert code.startswith("error: ") and sentence in code and out == ""
    assert not (tmp_path / "multirun").exists()


def test_only_trainings_make_a_sweep(sweep_here, run_training):
    code, _ = sweep_here("scheduler=step,rex", sweep=None)
    assert code.startswith("error: -m makes a sweep of trainings")
    with pytest.raises(ValueError, match="dry_run=true lists the jobs of a sweep: add -m"):
        run_training("dry_run=true")


def test_a_dry_run_lists_the_jobs(sweep_here, tmp_path):
    """Three folders as sweeps leave them; the finished run took 0.5 s for each of its 20 steps."""

    def task(config):
        folder = Path(HydraConfig.get().runtime.output_dir)
        (folder / ".hydra").mkdir()
        OmegaConf.save(OmegaConf.to_container(config, resolve=True), folder / ".hydra/config.yaml")
        if config.seed == 0:
            summary = {"status": "completed", "steps": 20, "seconds": 10.0}
            (folder / "summary.json").write_text(json.dumps(summary))
        if config.seed == 1:
            (folder / "checkpoints/step_00000015").mkdir(parents=True)

    sweep_here("seed=0,1,2", task=task)
    (folder,) = (tmp_path / "multirun").iterdir()
    cores = len(os.sched_getaffinity(0))
    seconds = round(45 * 0.5 / min(cores, 4))
    code, out = sweep_here("seed=0,1,2,3", "dry_run=true", "hydra/launcher=joblib")
    assert out.splitlines() == [
        "seed=0  done",
        "seed=1  to continue from step 15 of 20",
        "seed=2  to run, 20 steps",
        "seed=3  to run, 20 steps",
        "",
        f"4 jobs in {os.path.relpath(folder)}: 1 done, 1 to continue, 2 to run",
        f"About 00:{seconds:02} with {cores} at a time, at 0.5 s per step as in 1 finished run.",
        "Nothing was started.",
    ]
    code, out = sweep_here("seed=0", "dry_run=true")
    assert code == 0 and "Nothing is left to do" in out and "with 1" not in out
    code, out = sweep_here("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,1)", "dry_run=true")
    assert out == "A search makes its jobs as it goes (20 trials). Nothing was started.\n"


def test_one_sweep_at_a_time_in_a_folder(sweep_here, tmp_path):
    file = lock(tmp_path / ".stop")
    code, _ = sweep_here("seed=0,1", f"hydra.sweep.dir={tmp_path}", task=lambda config: None)
    os.close(file)
    assert code == "error: Another sweep is running in .: wait for it."


def test_a_report_that_fails_hides_nothing(tmp_path):
    assert report(tmp_path / "nowhere").startswith("There is no report: FileNotFoundError: ")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGINT, 130),  # as a terminal sends Ctrl-C: to all processes of the sweep
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.full),  # to it alone
    ],
)
def test_a_stopped_sweep_continues_bit_for_bit_and_a_failing_job_stops_nothing(
    tmp_path, train_here, number, expected
):
    """The job with an infinite rate fails at once; the other equals a single run bit for bit."""
    words = ("-m", "hydra/launcher=joblib", *LONG, "optimizer.lr=1e30,0.1", "hydra.sweep.dir=all")
    job = tmp_path / "all/optimizer.lr=0.1,scheduler=warmup"
    sweep = start(*words, cwd=tmp_path, start_new_session=True)
    wait_for(lambda: newest_step(job) > 0)
    (os.killpg if number == signal.SIGINT else os.kill)(sweep.pid, number)
    code, _, error = finish(sweep)
    assert code == expected
    assert error == "" or number == signal.SIGKILL  # joblib's tracker reports what it removes
    wait_for(lambda: not is_locked(job))
    summary = json.loads((job / "summary.json").read_text())
    assert summary["status"] == "interrupted" and 0 < summary["steps"] < 300
    code, out, error = finish(start(*words, cwd=tmp_path))
    assert (code, error) == (1, "")
    lines = out.splitlines()
    assert "1 of 2 done, 1 failed, 0 running, 0 waiting" in lines
    assert "report: all/report.html" in lines
    at = lines.index("failed: optimizer.lr=1e+30,scheduler=warmup")
    assert any("error: The loss of step" in line for line in lines[at + 1 : at + 6])
    alone = next(line for line in lines if line.startswith("  alone: python "))
    defined = dict(word.split("=") for word in (*LONG, "optimizer.lr=1e+30"))
    assert dict(word.split("=") for word in alone.split()[3:]) == defined
    whole = train_here(*LONG, "optimizer.lr=0.1", folder="whole")
    check_equal(evidence(whole), evidence(job))


def newest_step(folder):
    """The step of a job's newest checkpoint."""
    return max((int(path.name[5:13]) for path in folder.glob("checkpoints/step_*")), default=0)


def is_locked(folder):
    """Whether a process still trains in a folder."""
    try:
        wait_until_free(folder, folder, seconds=0)
    except ValueError:
        return True
    return False


def slurm_answers():
    return shutil.which("sinfo") and not subprocess.run(["sinfo"], capture_output=True).returncode


@pytest.mark.full
@pytest.mark.skipif(not slurm_answers(), reason="no Slurm controller answers here (sinfo)")
def test_two_jobs_on_slurm(tmp_path):
    words = ["-m", *TINY, "hydra/launcher=submitit_slurm", "seed=0,1"]
    words += [f"hydra.sweep.dir={tmp_path}", "hydra.launcher.cpus_per_task=1"]
    words += ["hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=10"]
    code, _, error = finish(start(*words, cwd=ROOT))
    assert code == 0, error
    summaries = [json.loads(path.read_text()) for path in tmp_path.glob("*/summary.json")]
    assert [summary["status"] for summary in summaries] == ["completed", "completed"]
