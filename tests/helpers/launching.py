"""Start several ranks as a person does, with the launcher, and leave none of them behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

from tests.conftest import ROOT

# The launcher in the group of another process, as a child of `make` or of a script is.
BESIDE = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"


def launch(*command: str, size: int = 2, leads: bool = True) -> subprocess.CompletedProcess:
    """Run a script (or `-m` a module) on several ranks until all of them have ended.

    Args:
        command: what follows the launcher's own arguments.
        size: how many ranks.
        leads: whether the launcher leads the group of its processes.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "oneflow.distributed.launch", "--nproc_per_node", str(size)]
    words = [sys.executable, *launcher, "--master_port", port, *command]
    if not leads:
        words = [sys.executable, "-c", BESIDE, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, cwd=ROOT, start_new_session=True, text=True, **pipes)
    try:
        out, error = process.communicate(timeout=300)  # they end when the last rank does
        return subprocess.CompletedProcess(words, process.returncode, out, error)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
