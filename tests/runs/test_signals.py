"""Real signals and real processes: what is saved, the exit code, and who may train where."""

import json
import os
import signal

import pytest

from engine.process.signals import Interruption
from tests.conftest import TINY
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_training(tmp_path, train_here, whole, number, code):
    process = start(*LONG, "hydra.run.dir=cut", cwd=tmp_path)
    wait_for(lambda: (tmp_path / "cut/checkpoints/last").exists())
    process.send_signal(number)
    found, out, error = finish(process)
    assert (found, error) == (code, "")
    summary = read_summary(tmp_path / "cut")
    assert summary["status"] == "interrupted" and 0 < summary["steps"] < 300
    assert f"Interrupted after step {summary['steps']}" in out
    assert out.endswith("Continue with: python train.py resume=cut\n")
    if number == signal.SIGTERM:  # once by typing that, in a process of its own
        code, out, error = finish(start("resume=cut", cwd=tmp_path))
        assert (code, error) == (0, "")
        assert "learning rates as previewed: 300 of 300 steps" in out
    else:
        train_here(f"resume={tmp_path / 'cut'}", folder="cut")
    check_equal(whole(*LONG), evidence(tmp_path / "cut"))


# Where the two signals take the same way, one of them is enough for every day.
SIGNALS = [("SIGTERM", 143), pytest.param("SIGINT", 130, marks=pytest.mark.full)]


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_in_evaluation(tmp_path, train_here, whole, name, code):
    settings = (*TINY, "dataset.val_size=300", "scheduler=reduce_on_plateau")
    result = signalled("evaluation", name, *settings, f"hydra.run.dir={tmp_path / 'cut'}")
    assert (result.returncode, result.stderr) == (code, "")
    state = json.loads((tmp_path / "cut/checkpoints/last/state.json").read_text())
    assert (state["step"], state["last"]) == (10, {})  # it was the evaluation that was cut off
    train_here(f"resume={tmp_path / 'cut'}", folder="cut")
    check_equal(whole(*settings), evidence(tmp_path / "cut"))


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_while_data_is_loaded(tmp_path, train_here, whole, name, code):
    result = signalled("loading", name, *TINY, f"hydra.run.dir={tmp_path / 'cut'}")
    assert (result.returncode, result.stderr) == (code, "")
    assert read_summary(tmp_path / "cut") == {"steps": 0, "status": "interrupted"}
    assert not (tmp_path / "cut/checkpoints").exists()
    train_here(f"resume={tmp_path / 'cut'}", folder="cut")
    check_equal(whole(*TINY), evidence(tmp_path / "cut"))


def test_a_second_signal_ends_at_once(tmp_path):
    process = start(*TINY, "dataset.val_size=30000", "hydra.run.dir=cut", cwd=tmp_path)
    wait_for(lambda: (tmp_path / "cut/train.log").exists())
    wait_for(lambda: "20 steps" in (tmp_path / "cut/train.log").read_text())
    os.kill(process.pid, signal.SIGSTOP)  # so that both are there when it goes on
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    assert finish(process)[0] in (130, 143)
    assert not (tmp_path / "cut/summary.json").exists()


@pytest.mark.parametrize(
    ("first", "second", "after", "ends"),
    [
        (signal.SIGINT, signal.SIGINT, 0.9, False),
        (signal.SIGINT, signal.SIGINT, 1.0, True),
        (signal.SIGTERM, signal.SIGTERM, 9.0, False),
        (signal.SIGTERM, signal.SIGINT, 0.0, True),
        (signal.SIGINT, signal.SIGTERM, 0.0, True),
    ],
)
def test_a_signal_that_comes_twice_may_be_one(monkeypatch, first, second, after, ends):
    clock, codes = [100.0], []
    monkeypatch.setattr("engine.process.signals.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("engine.process.signals.os._exit", codes.append)
    interruption = Interruption()
    interruption.defer()
    interruption._handle(first, None)
    clock[0] += after
    interruption._handle(second, None)
    assert codes == ([128 + second] if ends else [])


def test_a_sweep_that_is_interrupted_ends_altogether(tmp_path):
    process = start("-m", *LONG, "seed=0,1", cwd=tmp_path)
    wait_for(lambda: list(tmp_path.glob("multirun/*/*seed=0/checkpoints/last")))
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    (summary,) = tmp_path.glob("multirun/*/*/summary.json")
    assert json.loads(summary.read_text())["status"] == "interrupted"


def test_two_processes_in_one_run_folder(tmp_path):
    first = start(*LONG, "epochs=3000", "hydra.run.dir=run", cwd=tmp_path)
    wait_for(lambda: (tmp_path / "run/checkpoints/last").exists())
    code, out, error = finish(start("resume=run", cwd=tmp_path))
    first.kill()
    first.communicate()
    assert (code, out) == (1, "")
    assert error.startswith("error: Another process is training in ")
