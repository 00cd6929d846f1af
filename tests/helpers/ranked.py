"""`python -m tests.helpers.ranked RANK STEP DEED ARGUMENTS`: train.py with a fault in one rank.

After so many updates, before anything is evaluated or saved, the rank does the deed: `fail` with an
exception, send itself the signal SIG..., or send SIGTERM to its `parent`, the launcher, and wait
until that has passed it on.
"""

import os
import signal
import sys
import time

from engine.process import ranks
from runs.command_line import run_command
from runs.sweep.callback import run_sweep
from tests.helpers.signalled import at_step
from train import train


def act(deed: str) -> None:
    """Do the deed."""
    if deed == "fail":
        raise RuntimeError("the deed")
    if deed != "parent":
        os.kill(os.getpid(), signal.Signals[deed])
        return
    interruption = signal.getsignal(signal.SIGTERM).__self__
    os.kill(os.getppid(), signal.SIGTERM)
    while not interruption.number:  # or the run may be over before it is passed on
        time.sleep(0.01)


if __name__ == "__main__":
    rank, step, deed = (sys.argv.pop(1) for _ in range(3))
    if int(rank) == ranks.RANK:
        at_step(int(step), lambda: act(deed))
    run_command(train, sweep=run_sweep)
