"""`python -m tests.helpers.faulty RANK MOMENT DEED ARGUMENTS`: train.py with a fault in one rank.

The moment is a number of updates, before anything is evaluated or saved, or `evaluation`: when one
begins. The deed is a signal to the rank itself (SIGKILL), `fail` with an exception, `fill:FILE`
(write until the disk is full), or `parent`: SIGTERM to the launcher, until that has passed it on.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.process import ranks
from engine.trainer import Trainer
from runs.command_line import run_command
from runs.sweep.callback import run_sweep
from train import train


def act(deed: str) -> None:
    """Do the deed."""
    if deed == "fail":
        raise RuntimeError("the deed")
    if deed.startswith("fill:"):
        with contextlib.suppress(OSError), Path(deed[5:]).open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        return
    if deed != "parent":
        os.kill(os.getpid(), signal.Signals[deed])
        return
    interruption = signal.getsignal(signal.SIGTERM).__self__
    os.kill(os.getppid(), signal.SIGTERM)
    while not interruption.number:  # or the run may be over before it is passed on
        time.sleep(0.01)


def act_before(name: str, is_time: Callable[[Trainer], bool], deed: str) -> None:
    """Act before a method of the trainer, when it is time."""
    method = getattr(Trainer, name)

    def both(trainer: Trainer, *arguments: object) -> object:
        if is_time(trainer):
            act(deed)
        return method(trainer, *arguments)

    setattr(Trainer, name, both)


if __name__ == "__main__":
    rank, moment, deed = (sys.argv.pop(1) for _ in range(3))
    if int(rank) != ranks.RANK:
        pass
    elif moment == "evaluation":
        act_before("evaluate", lambda trainer: True, deed)
    else:
        act_before("finish_step", lambda trainer: trainer.step == int(moment), deed)
    run_command(train, sweep=run_sweep)
