"""`python -m tests.helpers.signalled MOMENT SIGNAL ARGUMENTS`: train.py, signalled then.

MOMENT is `loading` (of the data), `evaluation` (at its second batch), or the number of updates
after which the signal comes, before anything is evaluated or saved.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from engine.trainer import Trainer
from runs.command_line import run_command
from train import train


def before(owner: Any, name: str, act: Callable[..., None]) -> None:
    """Call `act` with the same arguments before a function is called."""
    function = getattr(owner, name)

    def both(*arguments: Any) -> Any:
        act(*arguments)
        return function(*arguments)

    setattr(owner, name, both)


def at_step(step: int, act: Callable[[], None]) -> None:
    """Act when so many updates are made."""
    before(Trainer, "finish_step", lambda trainer: act() if trainer.step == step else None)


def at_evaluation(act: Callable[[], None]) -> None:
    """Act when an evaluation asks for its second batch."""

    def interrupt(trainer: Trainer, loader: Any) -> None:
        epoch = loader.epoch

        def batches() -> Any:
            for number, batch in enumerate(epoch()):
                if number == 1:
                    act()
                yield batch

        loader.epoch = batches

    before(Trainer, "evaluate", interrupt)


if __name__ == "__main__":
    moment, number = sys.argv.pop(1), signal.Signals[sys.argv.pop(1)]

    def send(*_: Any) -> None:
        """Send the signal to this process."""
        os.kill(os.getpid(), number)

    if moment == "loading":
        import data  # after engine, which prepares the process

        before(data, "build_dataset", send)
    elif moment == "evaluation":
        at_evaluation(send)
    else:
        at_step(int(moment), send)
    run_command(train)
