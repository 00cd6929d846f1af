"""Prepares the process before a test module imports OneFlow, and trains from the inside."""

import json
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import engine  # noqa: F401
from runs.command_line import run_command
from runs.overrides import expand_arguments
from train import train

ROOT = Path(__file__).parent.parent

# 20 steps in 2 epochs of 10 on built-in data: a run of about a second
TINY = (
    "dataset=synthetic",
    "dataset.train_size=320",
    "dataset.val_size=100",
    "dataset.test_size=100",
    "epochs=2",
    "batch_size=32",
    "device=cpu",
)


@dataclass(frozen=True)
class Run:
    """A finished run and readers for what it left."""

    folder: Path
    objective: float | None

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def hparams(self) -> tuple[dict, set[str]]:
        """The HParams tab as TensorBoard reads it: settings, and the curves whose ends it shows."""
        found = self._events().summary_metadata
        session, experiment = (
            HParamsPluginData.FromString(found[f"_hparams_/{name}"].plugin_data.content)
            for name in ("session_start_info", "experiment")
        )
        settings = {
            name: value.number_value or value.string_value or value.bool_value
            for name, value in session.session_start_info.hparams.items()
        }
        return settings, {info.name.tag for info in experiment.experiment.metric_infos}

    @property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        events = self._events()
        return {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }

    def _events(self) -> EventAccumulator:
        return EventAccumulator(str(self.folder), size_guidance={"scalars": 0}).Reload()


def compose_config(*overrides: str, folder: Path, name: str = "config"):
    """The config of a command line, with Hydra's own state set as its main function would."""
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf"), job_name="train"):
        config = compose(name, list(overrides), return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(folder)
        HydraConfig.instance().set_config(config)
        OmegaConf.resolve(config.hydra.runtime)
        del config["hydra"]
    return config


@pytest.fixture(autouse=True)
def short_errors(monkeypatch):
    """Undo what a program that starts in this process sets for itself."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """A function that runs train.py's command line in this process, as far as a mistake."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        GlobalHydra.instance().clear()
        run_command(train)

    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture
def run_training(tmp_path):
    """A function that trains in this process: run_training("scheduler=step", folder="a")."""

    def run(*overrides: str, folder: str = "run") -> Run:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        return Run(path, train(compose_config(*TINY, *overrides, folder=path)))

    return run


def train_in(parent: Path, *overrides: str, folder: str = "run", stop: int | None = None) -> Path:
    """Train in this process, in a folder of `parent`; as if a signal came after `stop` steps."""
    from engine.process.signals import Interrupted
    from engine.trainer import Trainer
    from tests.helpers.continuing import stopping

    path = parent / folder
    path.mkdir(exist_ok=True)
    words = [word for word in expand_arguments(overrides) if not word.startswith("hydra.")]
    config = compose_config(*words, folder=path)
    with pytest.MonkeyPatch.context() as patch:
        if stop is not None:
            patch.setattr(Trainer, "train_step", stopping(stop))
        try:
            train(config)
        except Interrupted:
            assert stop is not None
    return path


@pytest.fixture
def train_here(tmp_path):
    """A function that trains in this process: train_here("scheduler=step", folder="a", stop=6)."""
    return partial(train_in, tmp_path)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A function: the folder of a run that nothing stopped; each is trained once a session."""
    return lru_cache(lambda *words: train_in(tmp_path_factory.mktemp("whole"), *words))


@pytest.fixture(scope="session")
def stopped_once(tmp_path_factory) -> Path:
    from tests.helpers.continuing import SHORT

    every = ("scheduler=cosine_annealing", "trainer.checkpoint_every=4")
    return train_in(tmp_path_factory.mktemp("stopped"), *SHORT, *every, stop=6)


@pytest.fixture
def stopped(stopped_once, tmp_path) -> Path:
    """The folder of a run that was stopped after 6 of 40 steps, and saved steps 4 and 6."""
    return shutil.copytree(stopped_once, tmp_path / "stopped", symlinks=True)
