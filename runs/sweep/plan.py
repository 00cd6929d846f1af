"""The jobs of a sweep, composed and checked before the first of them starts."""

import os
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from runs.command_line import MISTAKES, explain
from runs.sweep.job import Job, find_job
from runs.sweep.names import name_job


def plan_jobs(config: DictConfig) -> list[Job]:
    """Return the jobs of a sweep, each composed and checked; none of a search, which makes them.

    A ValueError names the first job that could not run, and why.
    """
    if HydraConfig.get().runtime.choices["hydra/sweeper"] != "basic":
        return []
    planned: dict[Path, Job] = {}
    checked = set[str]()
    for overrides in list_overrides(config):
        try:
            job = plan_job(compose_job(config, overrides, len(planned)), checked)
        except MISTAKES as error:
            name = name_job(overrides, config.hydra.job.config.override_dirname.exclude_keys)
            raise ValueError(f"the job {name} cannot run: {explain(error)}") from error
        if planned.setdefault(job.folder, job) is not job:
            raise ValueError(f"hydra.sweep.subdir: two jobs would share the folder {job.folder}.")
    HydraConfig.instance().set_config(config)
    return list(planned.values())


def list_overrides(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job, multiplied out by Hydra's own sweeper."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    words = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = parser.parse_overrides([*words, *config.hydra.overrides.task])
    (batch,) = BasicSweeper.split_arguments(parsed, None)
    return batch


def compose_job(config: DictConfig, overrides: Sequence[str], number: int) -> DictConfig:
    """Return the config of a job, and set Hydra's state to that of the job, as a launcher does."""
    composed = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
    HydraConfig.instance().set_config(composed)
    with read_write(composed.hydra), open_dict(composed.hydra):
        composed.hydra.job.id = composed.hydra.job.num = number
        folder = Path(composed.hydra.sweep.dir) / composed.hydra.sweep.subdir
        composed.hydra.runtime.output_dir = os.path.abspath(folder)
    HydraConfig.instance().set_config(composed)
    return OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])


def plan_job(config: DictConfig, checked: set[str]) -> Job:
    """Check a job as far as that is cheap: its keys, its length, its schedule, its folder.

    Jobs that differ only in the seed share what was `checked` for the first of them.
    """
    from engine.process.runtime import choose_device
    from runs.build import build_horizon, check_schedule
    from runs.settings import check_settings, trainer_durations

    OmegaConf.resolve(config)
    check_settings(config)
    horizon = build_horizon(config)
    trainer_durations(config, horizon)
    parts = repr((config.device, config.scheduler, config.optimizer, config.dataset, horizon))
    if parts not in checked:
        checked.add(parts)
        choose_device(config.device)
        quiet = {} if config.lint == "error" else {"lint": "off"}  # the job's log has the warnings
        check_schedule(OmegaConf.merge(config, quiet), horizon)
    total_steps = min(config.max_steps or horizon.total_steps, horizon.total_steps)
    return find_job(config, total_steps)
