"""SIGTERM and Ctrl-C: stop at the next safe point; the second one stops at once."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from engine.process.ranks import SIZE, agree

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ECHO = 1.0  # seconds in which the same signal again is the same request


class Interrupted(SystemExit):
    """The request to stop a run. Uncaught it ends the program with 128 + the signal's number."""

    def __init__(self, number: int, agreed: bool = False) -> None:
        super().__init__(128 + number)
        self.agreed = agreed  # whether all processes of the run stop here


class Interruption:
    """Handlers of SIGTERM and SIGINT that raise `Interrupted`; after `defer()` only in `poll`.

    While data is loaded nothing is worth saving, and the signal ends the run where it is. In
    training the step is finished first. A second signal ends the process at once, unless it may be
    the same request: the same signal within a second, which may reach a process and its group; and
    SIGTERM at any time, which a cluster sends to all processes of a job, and the launcher of
    several ranks after Ctrl-C too.
    """

    def __init__(self) -> None:
        self.number = 0  # of the signal that came
        self.came = 0.0  # and when
        self.deferred = False
        self.former: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self.former = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)

    def defer(self) -> None:
        """Only note a signal from here on."""
        self.deferred = True

    def poll(self) -> None:
        """Raise `Interrupted` if a signal has come to any process of the run."""
        if number := agree(self.number):
            raise Interrupted(number, agreed=True)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == self.number and (number == signal.SIGTERM or now - self.came < ECHO):
            return
        if number == signal.SIGTERM and self.number and SIZE > 1:
            return
        if self.number:
            os._exit(128 + number)
        self.number, self.came = number, now
        if not self.deferred:
            raise Interrupted(number)
