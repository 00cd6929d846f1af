"""What a sweep is about to do: its jobs, composed and checked before the first of them starts."""

import contextlib
import copy
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from runs.sweep.job import Job, find_job
from runs.sweep.names import name_job


@dataclass(frozen=True)
class Planned:
    """A job of the plan.

    Attributes:
        job: what it is and where it stands.
        total_steps: updates of the whole run.
        config: as the job would run.
    """

    job: Job
    total_steps: int
    config: DictConfig


def plan_jobs(config: DictConfig) -> list[Planned]:
    """The jobs of a sweep, each composed and checked; none where a search decides them later.

    Raises:
        ValueError: names the first job that could not run, and why.
    """
    if HydraConfig.get().runtime.choices["hydra/sweeper"] != "basic":
        return []
    planned, seen = [], set[str]()
    for overrides in list_overrides(config):
        try:
            with compose_job(config, overrides, len(planned)) as composed:
                planned.append(plan_job(composed, seen))
        except Exception as error:
            from runs.command_line import MISTAKES, explain

            if isinstance(error, MISTAKES):
                shared = config.hydra.job.config.override_dirname.exclude_keys
                told = name_job(overrides, shared)
                raise ValueError(f"the job {told} cannot run: {explain(error)}") from error
            raise
    check_folders([plan.job.folder for plan in planned])
    return planned


def list_overrides(config: DictConfig) -> list[list[str]]:
    """The overrides of each job, as Hydra's own sweeper multiplies them out."""
    loader = GlobalHydra.instance().config_loader()
    params = config.hydra.sweeper.params or {}
    words = [f"{key}={value}" for key, value in params.items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(
        [*words, *config.hydra.overrides.task]
    )
    (batch,) = BasicSweeper.split_arguments(parsed, None)
    return batch


@contextlib.contextmanager
def compose_job(config: DictConfig, overrides: Sequence[str], number: int) -> Iterator[DictConfig]:
    """Yield the config of a job while Hydra's state is that of the job, as in a launcher."""
    composed = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    former = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(composed)
    try:
        folder = os.path.abspath(Path(composed.hydra.sweep.dir) / composed.hydra.sweep.subdir)
        with read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
            composed.hydra.runtime.output_dir = folder
        HydraConfig.instance().set_config(composed)
        task = copy.deepcopy(composed)
        with read_write(task), open_dict(task):
            del task["hydra"]
        yield task
    finally:
        HydraConfig.instance().cfg = former


def plan_job(config: DictConfig, seen: set[str]) -> Planned:
    """Check a job as far as that is cheap: its keys, its length, its schedule, its folder.

    Args:
        config: of the job.
        seen: what was found good; jobs that differ in the seed share it.
    """
    from engine.process.runtime import choose_device
    from runs.build import build_horizon, check_schedule
    from runs.settings import check_settings, trainer_durations

    values = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    assert isinstance(values, DictConfig)
    check_settings(values)
    horizon = build_horizon(values)
    trainer_durations(values, horizon)
    parts = (values.device, values.scheduler, values.optimizer, values.dataset, horizon)
    if repr(parts) not in seen:
        seen.add(repr(parts))
        choose_device(values.device)
        quiet = {} if values.lint == "error" else {"lint": "off"}  # the job's log has the warnings
        check_schedule(OmegaConf.merge(values, quiet), horizon)
    total_steps = min(values.max_steps or horizon.total_steps, horizon.total_steps)
    return Planned(find_job(values), total_steps, values)


def check_folders(folders: Sequence[Path]) -> None:
    """Refuse a sweep in which two jobs would train in one folder.

    Raises:
        ValueError: names the folder.
    """
    folder, count = max(Counter(folders).items(), key=lambda item: item[1], default=(Path(), 0))
    if count > 1:
        raise ValueError(f"hydra.sweep.subdir: {count} jobs would share the folder {folder}.")
