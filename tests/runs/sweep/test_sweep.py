"""A sweep as a whole: what it refuses, what it shows, what is left of it when it is killed."""

import json
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from runs.command_line import run_command
from runs.sweep import estimate as sweep_estimate
from runs.sweep.callback import hold, report, run_sweep
from runs.sweep.job import STOP, Job, run_job, wait_until_free
from runs.sweep.plan import Planned
from runs.sweep.progress import View, follow, line_of, total_line
from tests.conftest import TINY
from tests.helpers.continuing import LONG, check_equal, evidence, finish, start, wait_for
from train import train


@pytest.fixture
def sweep_here(tmp_path, monkeypatch, capsys):
    """A function that makes a sweep in this process: (exit code or sentence, what was printed).

    Its jobs do what `task` does, as they would in Hydra's basic launcher.
    """

    def run(*arguments, task=run_job):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", "-m", *TINY, *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setenv("SWEEP_PID", "0")  # so that it is taken back afterwards
        GlobalHydra.instance().clear()
        try:
            run_command(train, sweep=partial(run_sweep, run=task))
        except SystemExit as stop:
            return stop.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run


def folder_of(tmp_path):
    """The one sweep's folder."""
    (folder,) = (tmp_path / "multirun").iterdir()
    return folder


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["scheduler=step,nope"], "scheduler/nope"),
        (["scheduler=step,rex", "scheduler.gama=1"], "has no key 'gama'"),
        (["experiment=study_schedules", "scheduler=none,mine"], "scheduler/mine"),
        (["optimizer.lr=${a.b}"], "a.b: the configuration refers to this key as ${a.b} and does"),
        (["seed=0,1,-3"], "the job seed=-3 cannot run: seed=-3: expected an integer from 0"),
        (["trainer.eval_every=1ep,x"], "the job trainer.eval_every=x cannot run:"),
        (["scheduler.gamma=0.1,0.2"], "scheduler.gamma"),  # of scheduler=none
        (["seed=0,1", "hydra.sweep.subdir=x"], "2 jobs would share the folder"),
        (["seed=0,1", "resume=there"], "resume continues one run"),
    ],
)
def test_a_sweep_that_cannot_run_is_refused_before_it_starts(sweep_here, tmp_path, words, sentence):
    def task(config):
        raise AssertionError("a job was started")

    code, out = sweep_here(*words, task=task)
    assert re.match("error: ", str(code)) and out == ""
    if "resume=there" not in words:  # the folder is looked for first
        assert sentence in code
    assert not (tmp_path / "multirun").exists()


def test_a_sweep_makes_no_sense_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["preview", "-m", "scheduler=step,rex"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which is set, and taken back afterwards
    with pytest.raises(SystemExit, match="error: -m makes a sweep of trainings"):
        run_command(train, "preview")


def test_a_dry_run_is_of_a_sweep(run_training):
    with pytest.raises(ValueError, match="dry_run=true lists the jobs of a sweep: add -m"):
        run_training("dry_run=true")


def test_a_dry_run_lists_the_jobs(sweep_here, tmp_path):
    """Three folders as sweeps leave them; the finished run took 0.5 s for each of its 20 steps."""
    code, out = sweep_here("seed=0,1,2", "dry_run=true")
    assert (code, out.splitlines()[:3]) == (0, [f"seed={n}  to run, 20 steps" for n in range(3)])
    assert "How long that takes is not known" in out
    assert not (tmp_path / "multirun").exists()

    def task(config):
        from hydra.core.hydra_config import HydraConfig

        folder = Path(HydraConfig.get().runtime.output_dir)
        (folder / ".hydra").mkdir()
        OmegaConf.save(OmegaConf.to_container(config, resolve=True), folder / ".hydra/config.yaml")
        if config.seed == 0:
            summary = {"status": "completed", "steps": 20, "seconds": 10.0}
            (folder / "summary.json").write_text(json.dumps(summary))
        if config.seed == 1:
            (folder / "checkpoints/step_00000015").mkdir(parents=True)

    sweep_here("seed=0,1,2", task=task)
    code, out = sweep_here("seed=0,1,2,3", "dry_run=true")
    assert out.splitlines() == [
        "seed=0  done",
        "seed=1  to continue from step 15 of 20",
        "seed=2  to run, 20 steps",
        "seed=3  to run, 20 steps",
        "",
        f"4 jobs in {os.path.relpath(folder_of(tmp_path))}: 1 done, 1 to continue, 2 to run",
        "About 0:00:22 with 1 at a time, at 0.5 s per step as in 1 finished run.",
        "Nothing was started.",
    ]
    code, out = sweep_here("seed=0", "dry_run=true")
    assert "Nothing is left to do" in out


def planned_of(step, state="new"):
    """A job of 100 steps."""
    config = OmegaConf.create({"model": {"depth": 1}})
    return Planned(Job(Path("x"), (), state, step, (), ()), 100, config)


@pytest.mark.parametrize(
    ("runs", "pace"),  # runs: steps, seconds
    [
        ([(10, 20)], 2),
        ([(10, 20), (10, 10), (10, 90)], 2),
        ([(3, 6), (3, 6), (1000, 100)], 0.1),  # two that were hardly more than a start
        ([(10, 10), (10, 20)], 1),
    ],
)
def test_the_usual_pace(runs, pace):
    summaries = [{"steps": steps, "seconds": seconds} for steps, seconds in runs]
    assert sweep_estimate.usual_pace(summaries) == pace


@pytest.mark.parametrize(
    ("planned", "at_once", "told"),
    [
        ([planned_of(0)] * 4, 2, "About 0:06:40 with 2 at a time"),  # 400 steps of 2 s by 2
        ([planned_of(0)], 8, "About 0:03:20 with 8 at a time"),  # one cannot be divided
        ([planned_of(40), planned_of(100, "done")], 1, "About 0:02:00 with 1 at a time"),
        ([planned_of(0)] * 2, None, "About 0:06:40 in all, divided by as many jobs as"),
    ],
)
def test_how_long_it_takes(monkeypatch, planned, at_once, told):
    """From three runs of 10 steps that took 20, 10 and 90 s: the median is 2 s for a step."""
    runs = [({"steps": 10, "seconds": seconds}) for seconds in (20, 10, 90)]
    kind = sweep_estimate.kind_of(planned[0].config)
    monkeypatch.setattr(sweep_estimate, "recent_runs", lambda folder: [(kind, r) for r in runs])
    assert sweep_estimate.tell_time(planned, at_once, Path()).startswith(told)


RUNNING = View(Path("scheduler=step,seed=0"), (), "running", 30, 10, 100, 12.345, started=1000)
LONGER = Path("optimizer.lr=0.0123456789,scheduler=cosine_warm_restarts,seed=10")


@pytest.mark.parametrize(
    ("view", "line"),
    [
        (  # 20 steps in 40 s: 70 more take 140
            RUNNING,
            "scheduler=step,seed=0                 step  30/100  val 12.35 %  0:02:20 left",
        ),
        (
            View(LONGER, (), "running", 30000, 0, 70400, 100.0, started=1000),
            "…rm_restarts,seed=10  step 30000/70400  val 100.00 %  0:00:54 left",
        ),
        (
            View(Path("seed=0"), (), "running", 0, 0, 100),
            "seed=0                                                          step   0/100",
        ),
        (
            View(Path("seed=0"), (), "running"),  # of a search: its length is not known
            "seed=0                                                              step 0/?",
        ),
    ],
)
def test_the_line_of_a_job(view, line):
    assert line_of(view, now=1040, width=len(line)) == line
    assert len(line_of(view, now=1040, width=79)) == 79


def test_the_line_of_all_jobs():
    states = ["done", "completed", "failed", "running", "waiting", "waiting"]
    made = {"done": (100, 100), "completed": (100, 0), "failed": (50, 0), "running": (50, 0)}
    views = [
        View(Path(str(n)), (), state, *made.get(state, (0, 0)), 100)
        for n, state in enumerate(states)
    ]
    # 200 steps in 100 s; the 250 of those that run and wait take 125
    assert total_line(views, 100) == (
        "2 of 6 done (1 before), 1 failed, 1 running, 2 waiting, 0:02:05 left"
    )
    assert len(total_line(views, 100)) < 80
    assert total_line(views[4:], 100) == "0 of 2 done, 0 running, 2 waiting"


def test_a_job_is_followed_through_its_folder(tmp_path):
    view = View(tmp_path, (), "waiting")
    assert follow(view, 0, 100) == View(tmp_path, (), "waiting", total_steps=100)
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 10, "val/top1": 5.0}\n{"step": 20, "val/top1": 7.5}\n{"step": 20, "test/top1": 7}'
        '\n{"step": 3'
    )
    record = {"state": "running", "first_step": 5, "started": 8.0, "log_bytes": 3}
    (tmp_path / ".job.json").write_text(json.dumps(record))
    assert follow(view, 0, 100) == View(
        tmp_path, (), "running", 20, 5, 100, 7.5, started=8.0, log_bytes=3
    )


def test_one_sweep_at_a_time_in_a_folder(sweep_here, tmp_path):
    file = hold(tmp_path / STOP)
    code, _ = sweep_here("seed=0,1", f"hydra.sweep.dir={tmp_path}", task=lambda config: None)
    os.close(file)
    assert code == "error: Another sweep is running in .: wait for it."


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (
            SimpleNamespace(write_report=lambda *_: "A is better\nx"),
            "A is better\nx",
        ),
        (
            SimpleNamespace(write_report=lambda *_: 1 / 0),
            "There is no report: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_the_report_hides_nothing(monkeypatch, module, told):
    monkeypatch.setitem(sys.modules, "runs.comparison.report", module)
    assert report(Path("x")) == told


def test_one_failing_job_does_not_lose_the_others(tmp_path, train_here):
    """The job with an infinite rate stops at once; the other equals a single run bit for bit."""
    words = ("-m", "hydra/launcher=joblib", *TINY, "optimizer.lr=1e30,0.1", "hydra.sweep.dir=all")
    code, out, error = finish(start(*words, cwd=tmp_path))
    assert (code, error) == (1, "")
    lines = out.splitlines()
    assert "1 of 2 done, 1 failed, 0 running, 0 waiting" in lines
    at = lines.index("failed: optimizer.lr=1e+30")
    assert any("error: The loss of step 1 is nan" in line for line in lines[at + 1 : at + 6])
    alone = next(line for line in lines if line.startswith("  alone: python "))
    assert alone.endswith(" ".join(["train.py", *TINY, "optimizer.lr=1e+30"]))
    single = evidence(train_here(*TINY, "optimizer.lr=0.1", folder="single"))
    check_equal(single, evidence(tmp_path / "all/optimizer.lr=0.1"))


def test_a_sweep_that_is_stopped_goes_on_bit_for_bit(tmp_path, train_here):
    """Ctrl-C, as a terminal sends it to all of its processes; then SIGKILL to the sweep alone."""
    words = ("-m", "hydra/launcher=joblib", *LONG, "seed=0,1", "hydra.sweep.dir=all")
    first = tmp_path / "all/scheduler=warmup,seed=0"
    steps = [0]
    for number, expected in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        sweep = start(*words, cwd=tmp_path, start_new_session=True)
        wait_for(lambda: newest_step(first) > steps[-1], seconds=120)
        (os.killpg if number == signal.SIGINT else os.kill)(sweep.pid, number)
        code, out, error = finish(sweep)
        assert code == expected
        assert error == "" or number == signal.SIGKILL  # joblib's tracker clears up, and says so
        wait_for(lambda: not is_locked(first))
        summary = json.loads((first / "summary.json").read_text())
        assert summary["status"] == "interrupted" and steps[-1] < summary["steps"] < 300
        steps.append(summary["steps"])
    code, out, error = finish(start(*words, cwd=tmp_path))
    assert (code, error) == (0, "")
    assert "2 of 2 done, 0 running, 0 waiting" in out
    whole = train_here(*LONG, "seed=0", folder="whole")
    check_equal(evidence(whole), evidence(first))


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
