"""Real signals and real processes: what is saved, the exit code, and who may train where."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT, TINY
from tests.helpers.continuing import (
    LONG,
    check_equal,
    evidence,
    finish,
    read_summary,
    signalled,
    start,
    wait_for,
)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.full)],
)
def test_a_signal_in_training(tmp_path, whole, number, code):
    process = start(*LONG, "hydra.run.dir=cut", cwd=tmp_path)
    wait_for(lambda: (tmp_path / "cut/checkpoints/last").exists())
    process.send_signal(number)
    found, out, error = finish(process)
    assert (found, error) == (code, "")
    summary = read_summary(tmp_path / "cut")
    assert summary["status"] == "interrupted" and 0 < summary["steps"] < 300
    assert f"Interrupted after step {summary['steps']}" in out
    assert out.endswith("Continue with: python train.py resume=cut\n")
    code, out, error = finish(start("resume=cut", cwd=tmp_path))
    assert (code, error) == (0, "")
    assert "learning rates as previewed: 300 of 300 steps" in out
    check_equal(whole(*LONG), evidence(tmp_path / "cut"))


# Where the two signals take the same way, one of them is enough for every day.
@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), pytest.param("SIGTERM", 143, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("moment", ["evaluation", "loading"])
def test_a_signal_outside_a_step(tmp_path, train_here, whole, moment, name, code):
    """In an evaluation the step before it is saved; while data is loaded nothing is."""
    settings = (*TINY, "dataset.val_size=300", "scheduler=reduce_on_plateau")
    result = signalled(moment, name, *settings, f"hydra.run.dir={tmp_path / 'cut'}")
    assert (result.returncode, result.stderr) == (code, "")
    if moment == "loading":
        assert read_summary(tmp_path / "cut") == {"steps": 0, "status": "interrupted"}
        assert not (tmp_path / "cut/checkpoints").exists()
    else:
        state = json.loads((tmp_path / "cut/checkpoints/last/state.json").read_text())
        assert (state["step"], state["last"]) == (10, {})  # it was the evaluation that was cut off
    train_here(f"resume={tmp_path / 'cut'}", folder="cut")
    check_equal(whole(*settings), evidence(tmp_path / "cut"))


TWICE = """
import os, signal, sys, time
from engine.process.signals import Interruption
with Interruption() as interruption:
    interruption.defer()
    os.kill(os.getpid(), signal.Signals[sys.argv[1]])
    time.sleep(float(sys.argv[3]))
    os.kill(os.getpid(), signal.Signals[sys.argv[2]])
"""


@pytest.mark.parametrize(
    ("first", "second", "after", "code"),
    [
        ("SIGINT", "SIGINT", "0.2", 0),  # within a second it is the same request
        ("SIGINT", "SIGINT", "1.1", 130),
        ("SIGTERM", "SIGTERM", "1.1", 0),
        ("SIGTERM", "SIGINT", "0", 130),
        ("SIGINT", "SIGTERM", "0", 143),
    ],
)
def test_a_second_signal_ends_at_once_unless_it_is_the_same_request(first, second, after, code):
    command = [sys.executable, "-c", TWICE, first, second, after]
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == code


def test_a_sweep_that_is_interrupted_ends_altogether(tmp_path):
    process = start("-m", *LONG, "seed=0,1", cwd=tmp_path)
    wait_for(lambda: list(tmp_path.glob("multirun/*/*seed=0/checkpoints/last")))
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    (summary,) = tmp_path.glob("multirun/*/*/summary.json")
    assert json.loads(summary.read_text())["status"] == "interrupted"


def test_two_processes_in_one_run_folder_and_two_signals(tmp_path):
    first = start(*LONG, "epochs=3000", "hydra.run.dir=run", cwd=tmp_path)
    wait_for(lambda: (tmp_path / "run/checkpoints/last").exists())
    code, out, error = finish(start("resume=run", cwd=tmp_path))
    assert (code, out) == (1, "")
    assert error.startswith("error: Another process is training in ")
    os.kill(first.pid, signal.SIGSTOP)  # so that both are there when it goes on
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGINT)
    os.kill(first.pid, signal.SIGCONT)
    assert finish(first)[0] in (130, 143)
    assert not (tmp_path / "run/summary.json").exists()
