"""Names for the folders of a sweep, made of settings, so that the same command finds them again.

    multirun/experiment=quickstart/scheduler=step,seed=0
             what all jobs share   what differs

`scheduler` and `seed` always name the job, also where only one is given: so a sweep can be extended
later. Keys that change where or how a job runs, and not what comes out, name nothing.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from runs.overrides import CHANGES_NO_RESULT, is_override, key_of

NAMES_THE_JOB = ("scheduler", "seed")
PLUGINS = ("hydra/launcher=submitit_slurm", "hydra/sweeper=optuna")
LONGEST = 120  # letters of a name; file systems take 255 bytes


def add_sweep_settings(arguments: Sequence[str]) -> list[str]:
    """Return the command line of a sweep with Hydra's settings put before the overrides.

    Hydra writes no log and no .hydra/ of its own: the process that trains a job does. Hydra names
    a job's folder after all overrides but those in `exclude_keys`, which name the sweep's folder.
    """
    first = next((i for i, word in enumerate(arguments) if is_override(word)), len(arguments))
    shared = [
        override
        for override in parse(arguments[first:])
        if not override.is_sweep_override() and override.key_or_group not in NAMES_THE_JOB
    ]
    keys = sorted({override.key_or_group for override in shared})
    words = [
        f"{override.get_key_element()}={override.get_value_element_as_str()}"
        for override in shared
        if override.key_or_group not in CHANGES_NO_RESULT
    ]
    settings = [
        "hydra/hydra_logging=none",
        "hydra/job_logging=none",
        "hydra.output_subdir=null",
        f"hydra.sweep.dir='multirun/{safe_name(','.join(sorted(words)))}'",
        f"hydra.job.config.override_dirname.exclude_keys=[{','.join(keys)}]",
    ]
    # conf/hydra/our_launcher and our_sweeper have our settings of these plugins.
    settings += [word.replace("hydra/", "+hydra/our_") for word in arguments if word in PLUGINS]
    return [*arguments[:first], *settings, *arguments[first:]]


def parse(words: Iterable[str]) -> list[Override]:
    """Return the overrides among the words of a command line, without those of Hydra itself.

    Of two for one key the last one counts. A word with a mistake is left out: Hydra reports it.
    """
    parser, found = OverridesParser.create(), dict[str, Override]()
    for word in words:
        if is_override(word) and not re.match("hydra[./]", key_of(word) or ""):
            with contextlib.suppress(HydraException):
                override = parser.parse_override(word)
                found[override.get_key_element()] = override
    return list(found.values())


def name_job(words: Iterable[str], shared: Sequence[str]) -> str:
    """Return the name of a job's folder: its overrides without the keys that all jobs share."""
    return safe_name(",".join(sorted(word for word in words if key_of(word) not in shared)))


def safe_name(text: str) -> str:
    """Return a text as the name of a folder.

    Letters that are not safe in a path become a dash; a hash then keeps names apart.

    >>> safe_name("scheduler=step,seed=0"), safe_name("fork='../a run'"), safe_name("")
    ('scheduler=step,seed=0', 'fork=-..-a-run--9dca1684', 'default')
    """
    safe = re.sub(r"[^\w=.,+-]+", "-", text, flags=re.ASCII) or "default"
    if safe in (text, "default") and len(text) <= LONGEST:
        return safe
    return f"{safe[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


OmegaConf.register_new_resolver("safe_name", safe_name, replace=True)  # for conf/config.yaml
