"""What a cluster does to a job: here without one, and on one where it answers."""

import os
import shutil
import signal
import subprocess

import pytest

from runs.sweep import job as sweep_job
from runs.sweep.job import Job, train_apart
from tests.conftest import TINY
from tests.helpers.continuing import LONG, read_summary, wait_for


def test_a_job_that_meets_its_time_limit_saves_before_the_process_above_it_ends(
    tmp_path, monkeypatch
):
    seen = []

    def wait(process, sweep):
        seen.append(process)
        wait_for(lambda: (tmp_path / "job/checkpoints/last").exists())
        os.kill(process.pid, signal.SIGUSR2)  # Slurm: the time limit is near
        os.kill(process.pid, signal.SIGTERM)  # and: this is put back into the queue
        raise SystemExit(255)  # submitit, which has put it there

    monkeypatch.setattr(sweep_job, "wait", wait)
    (tmp_path / "job").mkdir()
    with pytest.raises(SystemExit):
        train_apart(Job(tmp_path / "job", LONG, "new", 0, (), ()), tmp_path)
    assert seen[0].returncode == 143
    summary = read_summary(tmp_path / "job")
    assert summary["status"] == "interrupted" and 0 < summary["steps"] < 300
    assert (tmp_path / f"job/checkpoints/step_{summary['steps']:08d}").is_dir()


def slurm_answers():
    return shutil.which("sinfo") and not subprocess.run(["sinfo"], capture_output=True).returncode


@pytest.mark.full
@pytest.mark.skipif(not slurm_answers(), reason="no Slurm controller answers here (sinfo)")
def test_two_jobs_on_slurm(tmp_path):
    command = ["python", "train.py", "-m", *TINY, "hydra/launcher=submitit_slurm", "seed=0,1"]
    command += [f"hydra.sweep.dir={tmp_path}", "hydra.launcher.cpus_per_task=1"]
    command += ["hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=10"]
    command[0] = sweep_job.sys.executable
    result = subprocess.run(command, cwd=sweep_job.TRAIN.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    states = [read_summary(path.parent)["status"] for path in tmp_path.glob("*/summary.json")]
    assert states == ["completed", "completed"]
