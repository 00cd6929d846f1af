"""From the start of the process to the first training step, phase by phase, in fresh processes."""

import tempfile
import time
from itertools import pairwise

from scripts.benchmark.measure import Figure, Options, figure, run_module


def measure(options: Options) -> list[Figure]:
    """Seconds of each phase and of the whole; the files are in the page cache but for the first."""
    words, told = dataset_words(options)
    runs = [run_phases("until_first_step", *words) for _ in range(options.turns(7) + 1)][1:]
    names = [phase[0] for phase in runs[0]["phases"]]
    figures = [
        figure("startup", f"{place + 1}. {name}", "s", [spans(run)[place] for run in runs])
        for place, name in enumerate(names)
    ]
    name = f"start to the end of the first step, {told}"
    wall, processor = ([run["phases"][-1][place] for run in runs] for place in (1, 4))
    return [
        *figures,
        figure("startup", name, "s", wall),
        figure("startup", f"{name}, processor time", "s", processor),
    ]


def dataset_words(options: Options) -> tuple[tuple[str, ...], str]:
    """The overrides of a plain run on whole CIFAR-100 or on small built-in data, and its name."""
    if options.cifar100:
        return (f"dataset.root={options.cifar100}",), "CIFAR-100"
    return ("dataset=synthetic", "dataset.train_size=5000"), "5,000 built-in images"


def run_phases(until: str, *words: str) -> dict:
    """What `scripts.benchmark.phases` tells of a run on a CPU with these overrides."""
    with tempfile.TemporaryDirectory() as folder:
        where = (f"hydra.run.dir={folder}/run", "device=cpu")
        return run_module(
            "scripts.benchmark.phases",
            repr(time.time()),
            until,
            *where,
            "scheduler=warmup",
            *words,
        )


def spans(run: dict) -> list[float]:
    """The seconds that each phase of a run took."""
    ends = [0.0, *(phase[1] for phase in run["phases"])]
    return [after - before for before, after in pairwise(ends)]
