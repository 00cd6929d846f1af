"""A program that `python -m oneflow.distributed.launch` has started several times.

Rank 0 owns the terminal and the run folder, which Hydra names; the other ranks take over its folder
and print nothing. OneFlow is imported only where the ranks communicate.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from runs.overrides import quote, wants_sweep

# With these Hydra prints something and ends.
PRINTS = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i")
PR_SET_PDEATHSIG = 1
AFTER_RANK_0 = 5.0  # seconds in which the launcher ends this rank, if rank 0 has failed as well


def several() -> bool:
    """Return whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def rank() -> int:
    """Return the number of this process: from 0 on; 0 if it is the only one."""
    return int(os.environ["RANK"]) if several() else 0


def rank_arguments(arguments: Sequence[str], trains: bool) -> list[str]:
    """Return the command line of this rank; all but rank 0 get its run folder and no output.

    Raises:
        ValueError: it is not the command line of a training.
    """
    if not several():
        return list(arguments)
    if not trains:
        raise ValueError("this program is one process: start it without the launcher.")
    if wants_sweep(arguments):
        raise ValueError(
            "-m makes a sweep, whose jobs are one process each: leave out -m or the launcher."
        )
    if rank() == 0:
        return list(arguments)
    if any(word.partition("=")[0] in PRINTS for word in arguments):
        sys.exit(0)
    from engine.process.ranks import broadcast

    return [
        *arguments,
        f"hydra.run.dir={quote(Path(broadcast()))}",  # waits for rank 0
        "hydra.output_subdir=null",
        "~hydra.job_logging.handlers.file",
        "hydra.job_logging.root.handlers=[console]",
        "hydra.job_logging.root.level=CRITICAL",
    ]


@contextlib.contextmanager
def connected_ranks() -> Iterator[None]:
    """Run the task of each rank: they share the folder, and none outlives another."""
    if not several():
        yield
        return
    from engine.process.ranks import broadcast, connected

    if rank() == 0:
        broadcast(HydraConfig.get().runtime.output_dir)
    with connected():
        yield


@contextlib.contextmanager
def leaving_on_failure() -> Iterator[None]:
    """Run the whole program; a rank that fails reports why and ends without waiting for the others.

    A normal exit of Python waits in OneFlow for all ranks, which is right if all of them end.
    A launcher that is killed, or leads no group of processes, does not end its ranks: here the
    system sends them SIGTERM when it ends.
    """
    if several():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        yield
    except BaseException as error:
        if not several() or getattr(error, "agreed", False):
            raise
        code = error.code if isinstance(error, SystemExit) else traceback.format_exc().rstrip()
        if rank() and code:
            time.sleep(AFTER_RANK_0)
        if not isinstance(code, int | None):
            print(f"rank {rank()}: {code}" if rank() else code, file=sys.stderr)
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
