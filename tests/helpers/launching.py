"""Start several ranks as a person does, with the launcher, and leave none of them behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conftest import ROOT

# The launcher in the group of another process, as a child of `make` or of a script is.
BESIDE = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"


@dataclass(frozen=True)
class Ended:
    """What the ranks and their launcher left, when all of them have ended."""

    code: int
    out: str
    error: str


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def group(command: list[str], **settings) -> Iterator[subprocess.Popen]:
    """A process with a group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, text=True, **settings)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def launch(*command: str, size: int = 2, leads: bool = True) -> Ended:
    """Run a script (or `-m` a module) on several ranks until all of them have ended.

    Args:
        command: what follows the launcher's own arguments.
        size: how many ranks.
        leads: whether the launcher leads the group of its processes.
    """
    launcher = ["-m", "oneflow.distributed.launch", "--nproc_per_node", str(size)]
    words = [sys.executable, *launcher, "--master_port", str(free_port()), *command]
    if not leads:
        words = [sys.executable, "-c", BESIDE, *words]
    pipe = subprocess.PIPE
    with group(words, stdout=pipe, stderr=pipe) as process:
        out, error = process.communicate(timeout=300)  # they end when the last rank does
        return Ended(process.returncode, out, error)
