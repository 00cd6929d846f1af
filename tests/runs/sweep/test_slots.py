"""Which core or GPU each job of a parallel sweep gets, and how many jobs there are at a time."""

import os

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from omegaconf import OmegaConf

from runs.sweep import slots as sweep_places
from runs.sweep.callback import SweepCallback
from runs.sweep.slots import cores_of, environment_of, list_places
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("place", "cores", "environment"),
    [
        (None, None, {}),
        ("core3", {3}, {"OMP_NUM_THREADS": "1"}),
        ("gpu1", None, {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "1"}),
        ("gpuGPU-8f1c", None, {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "GPU-8f1c"}),
        ("gpu1.3", None, {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "1"}),  # its third job
    ],
)
def test_what_a_place_means(place, cores, environment):
    assert cores_of(place) == cores
    assert environment_of(place).items() >= environment.items()


@pytest.mark.parametrize(
    ("device", "visible", "count", "cores", "jobs", "places"),
    [
        ("cpu", None, 0, {0, 2, 5}, 1, ["core0", "core2", "core5"]),
        ("cpu", None, 0, {0, 2}, 4, ["core0", "core2"]),  # two jobs of four then float
        ("cuda", None, 2, {0}, 1, ["gpu0", "gpu1"]),
        ("cuda", "3,GPU-8f1c", 2, {0}, 2, ["gpu3", "gpuGPU-8f1c"]),
        ("cuda", None, 2, {0}, 4, ["gpu0", "gpu1", "gpu0.2", "gpu1.2"]),
        ("cuda", "7", 1, {0}, 3, ["gpu7", "gpu7.2", "gpu7.3"]),
        ("cuda", None, 2, {0}, 3, ["gpu0", "gpu1", "gpu0.2", "gpu1.2"]),
    ],
)
def test_what_places_there_are(monkeypatch, device, visible, count, cores, jobs, places):
    """GPUs by a stand-in: that jobs train on theirs was not run on one."""
    from engine.process import runtime

    monkeypatch.setattr(runtime, "choose_device", lambda name: device)
    monkeypatch.setattr(runtime.flow.cuda, "device_count", lambda: count)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: cores)
    monkeypatch.setattr("joblib.cpu_count", lambda: 99)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert list_places("auto", jobs) == places


@pytest.mark.parametrize(
    ("chosen", "prepared"),
    [
        ({}, {"n_jobs": 3, "batch_size": "1"}),  # as the plugin's own config has it
        ({"n_jobs": 2}, {"n_jobs": 2, "batch_size": "1"}),
        ({"n_jobs": 7, "batch_size": "4"}, {"n_jobs": 7, "batch_size": "4"}),
    ],
)
def test_what_the_launcher_leaves_open(monkeypatch, chosen, prepared):
    monkeypatch.setattr(sweep_places, "list_places", lambda device: ["gpu0", "gpu1", "gpu2"])
    launcher = OmegaConf.merge(OmegaConf.structured(JobLibLauncherConf), chosen)
    config = OmegaConf.create({"device": "auto", "hydra": {"launcher": launcher}})
    OmegaConf.set_readonly(config.hydra, True)
    sweep_places.prepare_joblib(config)
    assert config.hydra.launcher.items() >= prepared.items()


def test_a_sweep_that_chooses_joblib_has_as_many_jobs_as_places(monkeypatch, tmp_path):
    """Wherever it chose it: Hydra's config is all that the callback looks at."""
    monkeypatch.setattr(sweep_places, "list_places", lambda device: ["gpu0"] * 5)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # undone, whatever the callback sets
    words = ("hydra/launcher=joblib", "dataset=synthetic", "scheduler=step", "dry_run=true")
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        loader = GlobalHydra.instance().config_loader()
        settings = [*words, f"hydra.sweep.dir={tmp_path}"]
        config = loader.load_configuration("config", settings, run_mode=RunMode.MULTIRUN)
        with pytest.raises(SystemExit) as ended:
            SweepCallback().on_multirun_start(config)
    assert (ended.value.code, config.hydra.launcher.n_jobs) == (0, 5)
