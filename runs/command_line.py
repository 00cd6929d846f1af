"""The start of every program: Hydra composes a config, a mistake ends with one sentence."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from common.checks import suggest
from runs import ranks
from runs.config import MOVED
from runs.overrides import expand_arguments, wants_sweep

CONF = Path(__file__).resolve().parent.parent / "conf"
MISTAKES = (HydraException, OmegaConfBaseException, ValueError, OSError, ArithmeticError)


@ranks.leaving_on_failure()
def run_command(
    task: Callable[[DictConfig], Any],
    config_name: str = "config",
    sweep: Callable[[Callable[[Callable[[DictConfig], Any]], None]], None] | None = None,
) -> None:
    """Run `task` with the config that the command line composes.

    With -m `sweep` is called instead, with a function that starts Hydra on a task.

    A mistake in the configuration or a file that cannot be used ends the program with one sentence
    and exit code 1, Ctrl-C with code 130. Everything else is a bug of ours and keeps its traceback;
    with HYDRA_FULL_ERROR=1 in the environment a mistake shows one too.
    """
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    mistakes = () if traceback_wanted else MISTAKES
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to us, not to Hydra's own printer

    def job(config: DictConfig) -> Any:
        with one_sentence(mistakes), ranks.connected_ranks():
            return task(config)

    logging.raiseExceptions = False  # a log line for which the disk has no room is no mistake
    try:
        with one_sentence(mistakes):
            sys.argv[1:] = expand_arguments(sys.argv[1:])
            sys.argv[1:] = ranks.rank_arguments(sys.argv[1:], trains=sweep is not None)
            main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)
            if not wants_sweep(sys.argv[1:]):
                main(job)()
            elif sweep is None:
                raise ValueError("-m makes a sweep of trainings: it goes with train.py only.")
            else:
                sweep(lambda run_job: main(run_job)())
    except KeyboardInterrupt:
        sys.exit(130)


@contextlib.contextmanager
def one_sentence(mistakes: tuple[type[Exception], ...]) -> Iterator[None]:
    """End the program: with one sentence after a mistake, silently after a broken pipe."""
    try:
        yield
    except BrokenPipeError:
        end_unread()
    except mistakes as error:
        sys.exit(f"error: {explain(error)}")


def end_unread() -> None:
    """End silently after a broken pipe, as in `... | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def explain(error: Exception) -> str:
    """Return the sentence for a mistake: the error's own, except for files and unknown keys."""
    for cause in (error, error.__cause__):  # Hydra hides the reason why it has no log file
        if isinstance(cause, OSError) and cause.filename and cause.strerror:
            return f"{cause.filename}: {cause.strerror}."
    if isinstance(error, InterpolationKeyError) and str(error).startswith("Interpolation key '"):
        missing = str(error).split("'")[1]
        return (
            f"{missing}: the configuration refers to this key as ${{{missing}}} and does not have "
            f"it. (To add it write +{missing}=VALUE.)"
        )
    if isinstance(error, OverrideParseException):
        reason = " ".join(str(error).split("See https")[0].split())
        return f"{reason}: expected KEY=VALUE, as epochs=10 or preview.run=FOLDER."
    parent = getattr(error.__cause__, "parent_node", None)
    key = getattr(error.__cause__, "full_key", None)
    if not isinstance(parent, DictConfig) or not key:
        return str(error).strip()
    if key in MOVED:
        return f"{key}: this key is now {MOVED[key]}."
    place, _, name = key.rpartition(".")
    known = sorted(str(name) for name in parent if name != "hydra")
    return (
        f"{key}: {place or 'the configuration'} has no key {name!r}; it has {', '.join(known)}."
        f"{suggest(name, known)} (To add a key write +{key}=VALUE.)"
    )
