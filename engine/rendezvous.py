"""What a process that a launcher has started does before `import oneflow`, where they all meet.

The launcher (`python -m oneflow.distributed.launch`, docs/distributed.md) tells each process who it
is, through the environment. OneFlow's import then waits until all have come, and says nothing.
"""

import contextlib
import os
import socket
import sys
import time

TOLD = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK")
PATIENCE = 600.0  # seconds in which rank 0 has to come: on another machine someone may be typing


def prepare_rank() -> None:
    """In one of several processes: let rank 0 come first.

    A rank that asks before rank 0 listens would ask again only 10 seconds later.
    """
    if any(name not in os.environ for name in TOLD) or int(os.environ["WORLD_SIZE"]) < 2:
        return
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if int(os.environ["RANK"]) > 0:
        wait_for(address)
    elif listens(address):  # two runs at one port would take each other's ranks
        sys.exit(
            f"error: port {address[1]} of {address[0]} is in use: give the launcher another one, "
            f"as --master_port {address[1] + 1}."
        )


def listens(address: tuple[str, int]) -> bool:
    """Whether anybody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=5):
        return True
    return False


def wait_for(address: tuple[str, int], patience: float = PATIENCE) -> None:
    """Wait until rank 0 accepts connections; exit with a sentence if it never does."""
    deadline = time.monotonic() + patience
    while not listens(address):
        if time.monotonic() > deadline:
            host, port = address
            sys.exit(
                f"error: rank 0 did not come to port {port} of {host} within {patience:g} s: start "
                "the launcher there too, with the same --master_addr and --master_port."
            )
        time.sleep(0.1)
