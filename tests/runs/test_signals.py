"""Signals beside those of tests/runs/test_resume.py, and who may train in a folder."""

import os
import signal
import time

import pytest

import data
from engine.process.signals import Interrupted, Interruption
from runs.folder import lock_folder
from tests.conftest import TINY, compose_config
from tests.helpers.continuing import finish, read_summary, start
from train import train


def test_a_signal_while_data_is_loaded(tmp_path, monkeypatch):
    """Nothing is worth saving yet."""
    monkeypatch.setattr(data, "build_dataset", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as stop:
        train(compose_config(*TINY, folder=tmp_path))
    assert stop.value.code == 130
    assert read_summary(tmp_path) == {"steps": 0, "status": "interrupted"}
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("first", "second", "after", "code"),
    [
        (signal.SIGINT, signal.SIGINT, 0.2, 0),  # within a second it is the same request
        (signal.SIGINT, signal.SIGINT, 1.1, 130),
        (signal.SIGTERM, signal.SIGTERM, 1.1, 0),
        (signal.SIGTERM, signal.SIGINT, 0, 130),
        (signal.SIGINT, signal.SIGTERM, 0, 143),
    ],
)
def test_a_second_signal_ends_at_once_unless_it_is_the_same_request(first, second, after, code):
    child = os.fork()
    if not child:
        with Interruption() as interruption:
            interruption.defer()
            os.kill(os.getpid(), first)
            time.sleep(after)
            os.kill(os.getpid(), second)
            time.sleep(0)  # let Python run the handler
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code


def test_two_processes_in_one_run_folder(stopped):
    """This one holds it."""
    with lock_folder(stopped):
        code, out, error = finish(start(f"resume={stopped}", cwd=stopped.parent))
    assert (code, out) == (1, "")
    assert error.startswith("error: Another process is training in ") and error.count("\n") == 1
    with lock_folder(stopped):  # it is free again
        pass
