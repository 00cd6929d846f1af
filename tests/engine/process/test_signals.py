"""Several processes of one run stop after the same step, whichever of them the signal came to."""

import os
import socket
import subprocess
import sys

from tests.conftest import ROOT

RANK = """
import os, signal
rank = int(os.environ["RANK"])
from engine.process.ranks import SIZE, together
from engine.process.signals import Interrupted, Interruption

with together(), Interruption() as interruption:
    interruption.defer()
    for step in range(50):
        if (rank, step) == (1, 7):
            os.kill(os.getpid(), signal.SIGTERM)
        try:
            interruption.poll()
        except Interrupted as error:
            print(rank, SIZE, step, error.code, flush=True)
            break
"""


def test_both_processes_stop_after_the_same_step():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ranks = []
    try:
        for rank in ("0", "1"):
            environment = os.environ | world | {"RANK": rank, "LOCAL_RANK": rank}
            command = [sys.executable, "-c", RANK]
            pipe = subprocess.PIPE
            ranks.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, text=True)
            )
        told = [process.communicate(timeout=100)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert told == ["0 2 7 143\n", "1 2 7 143\n"]
