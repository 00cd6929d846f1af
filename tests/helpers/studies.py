"""Made-up run folders with known results, for the tests of the report and for looking at it."""

import json
import math
import random
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from engine.events import EventFile
from runs.comparison.runs import find_runs, read_run
from runs.resume import save_config
from tests.conftest import ROOT, compose_config

SHAPES = {  # the factor of the peak rate, by the share of the run that is done
    "none": lambda x: 1.0,
    "step": lambda x: 0.2 ** int(x / 0.3),
    "cosine_annealing": lambda x: (1 + math.cos(math.pi * x)) / 2,
}


def write_run(
    folder: Path,
    scheduler: str = "step",
    seed: int = 0,
    test: float = 30.0,
    val: dict[int, float] | None = None,
    lr: float = 0.1,
    summary: dict | None = None,
    **settings: object,
) -> Path:
    """One finished run of 20 steps. Keys of `settings` are dotted with double underscores."""
    val, steps = {10: test - 5, 20: test - 1} if val is None else val, 20
    config: dict = {
        "dataset": {"root": "datasets", "train_size": 1000},
        "model": {"_target_": "models.convnet.convnet_tiny"},
        "optimizer": {"_target_": "oneflow.optim.SGD", "lr": lr},
        "scheduler": {"_target_": f"oneflow.optim.lr_scheduler.{scheduler}"},
        "seed": seed,
        "epochs": 2,
        "batch_size": 100,
        "max_steps": None,
    }
    for name, value in settings.items():
        node, *keys = config, *name.split("__")
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    folder.mkdir(parents=True)
    save_config(OmegaConf.create(config), [f"scheduler={scheduler}", f"seed={seed}"], folder)
    content = {
        "status": "completed",
        "scheduler": scheduler,
        "model": "convnet_tiny",
        "dataset": "synthetic",
        "seed": seed,
        "epochs": config["epochs"],
        "steps": steps,
        "test_top1": test,
        "val_top1_last": val[max(val)],
        "val_top1_best": max(val.values()),
        "seconds": 12.5,
        "versions": {"oneflow": "0.9.0", "python": "3.10.13"},
        "lr_check": {"steps": steps, "mismatches": 0},
    }
    (folder / "summary.json").write_text(json.dumps(content | (summary or {})))
    lines = [json.dumps({"step": step, "val/top1": value}) for step, value in val.items()]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    events, shape = EventFile(folder), SHAPES.get(scheduler, SHAPES["none"])
    for step in range(steps):
        events.scalars({"lr/group0": lr * shape(step / steps), "train/loss": 1.0}, step, 0.0)
    events.close()
    return folder


def write_study(folder: Path, schedules: int, seeds: int) -> None:
    """A sweep in which the n-th schedule is better than the first by 0.4 n points, give or take."""
    for place, scheduler in enumerate(list(SHAPES)[:schedules]):
        for seed in range(seeds):
            luck = random.Random(seed).gauss(0, 0.6)
            luck += random.Random(f"{place}/{seed}").gauss(0, 0.2)
            test = round(36 + 0.4 * place + luck, 2)
            val = {step: test * (1 - math.exp(-3.5 * step / 20)) for step in (5, 10, 15, 20)}
            name = f"{place * seeds + seed}_{scheduler}_seed{seed}"
            write_run(folder / name, scheduler, seed, test, val)


def read_all(folder):
    """All runs in a folder, in the order of their names."""
    return [read_run(path) for path in find_runs([folder])]


@lru_cache
def composed_once(*words: str) -> DictConfig:
    """The config of these words; not to be changed."""
    return compose_config(*words, folder=ROOT / "nowhere")


def write_complete_run(
    folder: Path,
    *words: str,
    seed: int = 0,
    figure: str = "test_top1",
    value: float = 77.5,
    **summary: object,
) -> Path:
    """A run folder as a complete run of these words leaves it."""
    folder.mkdir(parents=True)
    config = OmegaConf.to_container(composed_once(*words), resolve=True)
    save_config(OmegaConf.create(config | {"seed": seed}), words, folder)
    figures = {"status": "completed", "test_top1": 1.0, figure: value, "scheduler": "x"}
    (folder / "summary.json").write_text(json.dumps(figures | summary))
    return folder
