"""How every program of this project starts: Hydra composes, a mistake ends with one sentence."""

import difflib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from scripts.resume import expand_arguments

log = logging.getLogger(__name__)

CONF = Path(__file__).resolve().parent.parent / "conf"
MISTAKES = (HydraException, OmegaConfBaseException, ValueError, OSError, ArithmeticError)


def run_command(task: Callable[[DictConfig], Any], config_name: str = "config") -> None:
    """Run `task` with the config that the command line composes.

    A mistake in the configuration or a file that cannot be used ends the program with one sentence
    and exit code 1, Ctrl-C with code 130. Everything else is a bug of ours and keeps its traceback;
    with HYDRA_FULL_ERROR=1 in the environment a mistake shows one too.
    """
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    mistakes = () if traceback_wanted else MISTAKES
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to us, not to Hydra's own printer

    def job(config: DictConfig) -> Any:
        try:
            return task(config)
        except BrokenPipeError:  # as in `... | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except mistakes as error:
            if HydraConfig.get().mode == RunMode.RUN:
                sys.exit(f"error: {explain(error)}")
            log.error("error: %s", explain(error))  # in the log of the one job of a sweep
            raise

    logging.raiseExceptions = False  # a log line for which the disk has no room is no mistake
    try:
        sys.argv[1:] = expand_arguments(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()
    except KeyboardInterrupt:
        sys.exit(130)
    except mistakes as error:
        sys.exit(f"error: {explain(error)}")


def explain(error: Exception) -> str:
    """The sentence for a mistake: Hydra's own, but for an unknown key the known ones are named."""
    for cause in (error, error.__cause__):  # Hydra says of a log file only that it cannot be set up
        if isinstance(cause, OSError) and cause.filename and cause.strerror:
            return f"{cause.filename}: {cause.strerror}."
    parent = getattr(error.__cause__, "parent_node", None)
    key = getattr(error.__cause__, "full_key", None)
    if not isinstance(parent, DictConfig) or not key:
        return str(error).strip()
    place, _, name = key.rpartition(".")
    known = sorted(str(name) for name in parent if name != "hydra")
    near = difflib.get_close_matches(name, known, n=1)
    return (
        f"{key}: {place or 'the configuration'} has no key {name!r}; it has {', '.join(known)}."
        + (f" Did you mean {near[0]}?" if near else "")
        + f" (To add a key write +{key}=VALUE.)"
    )
