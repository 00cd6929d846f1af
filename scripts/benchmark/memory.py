"""How much memory a run takes, what that is made of, and whether it grows from step to step."""

import numpy as np

from scripts.benchmark.measure import Figure, Options, figure
from scripts.benchmark.startup import dataset_words, run_phases

SETTLED = 1000  # steps in which caches fill, left out of the slope


def measure(options: Options) -> list[Figure]:
    """Resident set of a plain run at the end of each phase, its peak, and a slope."""
    words, told = dataset_words(options)
    runs = [run_phases("until_the_end", "max_steps=60", *words) for _ in range(options.turns(3))]
    figures = []
    for place, (name, *_) in enumerate(runs[0]["phases"]):
        held = [run["phases"][place][2] / 1024 for run in runs]
        figures.append(figure("memory", f"held after {place + 1}. {name}", "MiB", held))
    peaks = [run["phases"][-1][3] for run in runs]
    reached = next(phase[0] for phase in runs[0]["phases"] if phase[3] == peaks[0])
    name = f"peak of a plain run, {told}, reached in: {reached}"
    figures.append(figure("memory", name, "MiB", [peak / 1024 for peak in peaks]))
    return [*figures, *measure_growth(1500 if options.quick else 5000)]


def measure_growth(steps: int) -> list[Figure]:
    """What a run of so many small steps grows by: everything on, the rate another at each step."""
    words = (
        "dataset=synthetic",
        "dataset.train_size=2000",
        "dataset.val_size=100",
        "dataset.test_size=100",
        "batch_size=8",
        f"epochs={steps // 250}",
        "scheduler=cosine_annealing",
    )
    samples = run_phases("until_the_end", *words)["samples"]
    slope = fit_slope([sample for sample in samples if sample[0] >= SETTLED])
    first = [memory for step, memory in samples if step <= SETTLED]
    name = f"memory per 1,000 steps, from {SETTLED:,} to {steps:,} (least squares)"
    return [
        figure("memory", name, "KiB", [slope]),
        figure("memory", f"growth in the first {SETTLED:,} steps", "KiB", [first[-1] - first[0]]),
    ]


def fit_slope(samples: list[list[int]]) -> float:
    """The slope of the straight line through (step, memory) by least squares, per 1,000 steps.

    >>> round(fit_slope([[0, 100], [500, 110], [1000, 120], [1500, 130]]), 6)
    20.0
    """
    steps, memory = np.array(samples, dtype=float).T
    return float(1000 * np.polyfit(steps, memory, 1)[0])
