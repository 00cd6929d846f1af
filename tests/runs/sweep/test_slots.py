"""Which core or GPU each job of a parallel sweep gets, and how many jobs run at a time."""

import os
import tempfile
from contextlib import ExitStack

import pytest
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from omegaconf import OmegaConf

from runs.sweep.slots import SLOTS, hold_slot, list_slots, prepare_joblib

CORES = [f"core{number}" for number in sorted(os.sched_getaffinity(0))]


@pytest.mark.parametrize(
    ("device", "visible", "slots"),
    [
        ("cpu", "", CORES),
        ("cuda", "3", ["gpu3"]),
        ("cuda", "3,GPU-8f1c", ["gpu3", "gpuGPU-8f1c"]),
    ],
)
def test_which_slots_there_are(monkeypatch, device, visible, slots):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert list_slots(device) == slots


@pytest.mark.parametrize(
    ("chosen", "prepared"),
    [
        ({}, {"n_jobs": len(CORES), "batch_size": "1"}),  # as the plugin's config has it
        ({"n_jobs": 7, "batch_size": "4"}, {"n_jobs": 7, "batch_size": "4"}),
    ],
)
def test_how_many_jobs_run_at_a_time(monkeypatch, chosen, prepared):
    monkeypatch.setenv(SLOTS, "")
    launcher = OmegaConf.merge(OmegaConf.structured(JobLibLauncherConf), chosen)
    config = OmegaConf.create({"device": "cpu", "hydra": {"launcher": launcher}})
    OmegaConf.set_readonly(config.hydra, True)
    prepare_joblib(config)
    assert config.hydra.launcher.items() >= prepared.items()
    assert os.environ[SLOTS] == ",".join(CORES)


@pytest.mark.parametrize(
    ("slots", "held"),
    [
        ("", [None, None]),
        ("core0,core1", ["core0", "core1", None]),  # a third job may use any core
        ("gpu0,gpu1", ["gpu0", "gpu1", "gpu0", "gpu1", "gpu0"]),  # jobs share the GPUs evenly
        ("gpuMIG-8f1c/1/0", ["gpuMIG-8f1c/1/0"]),
    ],
)
def test_slots_are_held_one_by_one(tmp_path, monkeypatch, slots, held):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(SLOTS, slots)
    with ExitStack() as jobs:
        assert [jobs.enter_context(hold_slot())[0] for _ in held] == held
    with hold_slot() as (again, _):
        assert again == held[0]
