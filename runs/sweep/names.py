"""The folders of a sweep, named by what defines its jobs, so that they are found again.

    multirun/experiment=quickstart/scheduler=step,seed=0
             what all jobs share   what this one is

`scheduler` and `seed` always name the job, also where only one is given: so a sweep can be extended
later. Keys that change where or how a job runs, and not what comes out, name nothing.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from runs.overrides import CHANGES_NO_RESULT, is_override, key_of

NAMES_THE_JOB = ("scheduler", "seed")
# What Hydra's plugins do here if the command line does not say otherwise.
DEFAULTS = {
    # A job that meets its time limit saves, waits in the queue anew, and goes on where it was.
    "hydra/launcher=submitit_slurm": (
        "hydra.launcher.timeout_min=240",
        "hydra.launcher.signal_delay_s=120",
        "hydra.launcher.max_num_timeout=20",
        "hydra.launcher.cpus_per_task=2",
        "hydra.launcher.mem_gb=4",
    ),
    # A search looks for the highest accuracy, keeps its study in the sweep's folder, and tries as
    # many values at a time as joblib runs jobs.
    "hydra/sweeper=optuna": (
        "hydra.sweeper.direction=maximize",
        "hydra.sweeper.storage='sqlite:///${hydra.sweep.dir}/search.db'",
        "hydra.sweeper.study_name='${hydra.sweep.dir}'",
        "hydra.sweeper.n_jobs='${oc.select:hydra.launcher.n_jobs,1}'",
    ),
}
LONGEST = 120  # letters of a name; file systems take 255 bytes


def add_sweep_settings(arguments: Sequence[str]) -> list[str]:
    """The command line of a sweep, with what Hydra has to know of its jobs put first.

    A job's folder, its log and its .hydra/ are left to the process that trains in it. Which
    overrides all jobs share is told through a list that Hydra has for names of folders.
    """
    first = next((i for i, word in enumerate(arguments) if is_override(word)), len(arguments))
    shared = [
        override.key_or_group
        for override in parse(arguments[first:])
        if not override.is_sweep_override() and override.key_or_group not in NAMES_THE_JOB
    ]
    settings = [
        "hydra/hydra_logging=none",
        "hydra/job_logging=none",
        "hydra.output_subdir=null",
        f"hydra.job.config.override_dirname.exclude_keys=[{','.join(sorted(set(shared)))}]",
    ]
    for chosen in DEFAULTS.keys() & set(arguments):
        settings += DEFAULTS[chosen]
    return [*arguments[:first], *settings, *arguments[first:]]


def parse(words: Iterable[str]) -> list[Override]:
    """The overrides among the words of a command line, but for those of Hydra itself.

    Of two for one key the last one counts. One that cannot be read is left out: Hydra is about to
    say what is wrong with it.
    """
    parser, found = OverridesParser.create(), dict[str, Override]()
    for word in words:
        if is_override(word) and not re.match("hydra[./]", key_of(word) or ""):
            with contextlib.suppress(HydraException):
                override = parser.parse_override(word)
                found[override.get_key_element()] = override
    return list(found.values())


def name_sweep(words: Sequence[str], shared: Sequence[str]) -> str:
    """The name of what all jobs share, from the overrides of the sweep or of any of its jobs."""
    kept = [
        override
        for override in parse(words)
        if override.key_or_group in shared and override.key_or_group not in CHANGES_NO_RESULT
    ]
    return safe_name(kept) or "default"


def name_job(words: Sequence[str], shared: Sequence[str]) -> str:
    """The name of a job, from its overrides."""
    kept = [override for override in parse(words) if override.key_or_group not in shared]
    return safe_name(kept) or "default"


def safe_name(overrides: Sequence[Override]) -> str:
    """KEY=VALUE,KEY=VALUE as the name of a folder, whatever the values hold.

    What is not safe in a path becomes a dash; a hash then tells apart what would be the same.
    """
    texts = [f"{o.get_key_element()}={o.get_value_element_as_str()}" for o in overrides]
    text = ",".join(sorted(texts))
    safe = re.sub(r"[^\w=.,+-]+", "-", text, flags=re.ASCII)
    if safe == text and len(text) <= LONGEST:
        return text
    return f"{safe[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def register(name: str, function: Callable[[Sequence[str], Sequence[str]], str]) -> None:
    """Make ${NAME:} in the config the name that a function makes of the overrides."""

    def resolve(*, _root_: DictConfig) -> str:
        hydra = _root_.hydra
        return function(hydra.overrides.task, hydra.job.config.override_dirname.exclude_keys)

    OmegaConf.register_new_resolver(name, resolve, replace=True)


register("name_sweep", name_sweep)
register("name_job", name_job)
