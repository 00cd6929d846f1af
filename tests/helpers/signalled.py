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


def at_loading(send: Callable[[], None]) -> None:
    """Send it when the data set is built."""
    import data  # after engine, which prepares the process

    build_dataset = data.build_dataset

    def build(node: Any) -> Any:
        send()
        return build_dataset(node)

    data.build_dataset = build


def at_evaluation(send: Callable[[], None]) -> None:
    """Send it when an evaluation asks for its second batch."""
    evaluate = Trainer.evaluate

    def interrupted(trainer: Trainer, loader: Any) -> dict[str, float]:
        epoch = loader.epoch

        def batches() -> Any:
            for number, batch in enumerate(epoch()):
                if number == 1:
                    send()
                yield batch

        loader.epoch = batches
        return evaluate(trainer, loader)

    Trainer.evaluate = interrupted  # type: ignore[method-assign]


def at_step(step: int, send: Callable[[], None]) -> None:
    """Send it when so many updates are made."""
    finish_step = Trainer.finish_step

    def finish(trainer: Trainer) -> None:
        if trainer.step == step:
            send()
        finish_step(trainer)

    Trainer.finish_step = finish  # type: ignore[method-assign]


if __name__ == "__main__":
    moment, name = sys.argv.pop(1), sys.argv.pop(1)

    def send() -> None:
        """Send the signal to this process."""
        os.kill(os.getpid(), signal.Signals[name])

    if moment == "loading":
        at_loading(send)
    elif moment == "evaluation":
        at_evaluation(send)
    else:
        at_step(int(moment), send)
    run_command(train)
