"""The report's sentences, which claim no more than the tests behind them."""

from collections.abc import Sequence

import numpy as np

from runs.comparison.runs import Run
from runs.comparison.settings import CONDITIONS, Condition, differing_keys
from runs.comparison.statistics import Difference
from runs.comparison.tables import Comparison, interval, signed

MOST_ALIKE = 6  # so many sentences "no difference shown" stand alone; more become one
CHANCE = "chance cannot be ruled out"


def conclude(comparison: Comparison) -> list[str]:
    """Return a sentence for each comparison with the reference, from the best to the worst."""
    results, reference = comparison.results, comparison.reference
    if not results:
        return ["No run of these is complete."]
    best, *others = results
    if not others:
        return ["Only one schedule has finished runs, so there is nothing to compare."]
    if all(len(values) == 1 for values in results.values()):
        return [f"One run each: {CHANCE}. The highest test top-1 is that of {best}."]
    ordered = sorted(comparison.differences.items(), key=lambda item: -item[1].mean)
    alike = {label: d for label, d in ordered if not np.isnan(d.p) and not d.shown}
    alike = alike if len(alike) > MOST_ALIKE else {}
    single = [(label, d) for label, d in ordered if label not in alike]
    sentences = [compare_in_words(label, reference, found) for label, found in single]
    if alike:
        (first, most), *_, (last, least) = alike.items()
        sentences.append(
            f"no difference shown between {reference} and any of {len(alike)} others, from {first} "
            f"{figures(most)} to {last} {figures(least)}. Each has its row in the table."
        )
    if reference not in (best, others[0]):
        sentences.append(
            f"The highest mean is that of {best}, before {others[0]}. Each was compared with "
            f"{reference} only: whether {best} is better than {others[0]} was not tested."
        )
    return sentences


def compare_in_words(label: str, reference: str, difference: Difference) -> str:
    """Return one comparison as a sentence.

    >>> import numpy as np
    >>> found = Difference([0, 1, 2], np.array([1.0, 1.2, 1.4]), 1.2, 0.7, 1.7, 0.01)
    >>> compare_in_words("cosine", "step", found)
    'cosine is better than step (+1.20 points, 95 % interval 0.70 to 1.70, n = 3).'
    """
    n = difference.n
    points = f"{signed(difference.mean)} points"
    if n == 0:
        return f"{label} and {reference} have no seed in common: they are not compared."
    if n == 1:
        return f"{label} against {reference}: {points} with the one seed that both have: {CHANCE}."
    if np.abs(difference.values).max() <= 1e-9:
        return f"{label} and {reference} reached the same in each of {n} seeds."
    if np.isnan(difference.p):
        return (
            f"{label} against {reference}: {points} in each of {n} seeds; differences without any "
            "spread cannot be tested."
        )
    verdict = f"no difference shown between {label} and {reference}"
    if difference.shown:
        verdict = f"{label} is {'better' if difference.mean > 0 else 'worse'} than {reference}"
    return f"{verdict} {figures(difference)}."


def figures(difference: Difference) -> str:
    """Return a tested difference and how sure it is."""
    between = interval(difference.low, difference.high)
    return f"({signed(difference.mean)} points, 95 % interval {between}, n = {difference.n})"


def notes(comparison: Comparison) -> list[str]:
    """Return remarks that a reader of one condition's tables needs."""
    found = []
    reference = {s.label: s for s in comparison.condition.schedules}.get(comparison.reference)
    if reference and reference.scheduler == "none" and len(comparison.results) > 1:
        found.append(f"{reference.label}, the reference, is the fixed rate: no schedule at all.")
    base = comparison.results.get(comparison.reference, {})
    found += [
        f"{label} is compared with {comparison.reference} in the {d.n} seeds that both have "
        f"({', '.join(map(str, d.seeds))}), not in the others."
        for label, d in comparison.differences.items()
        if 0 < d.n < len(comparison.results[label].keys() | base)
    ]
    curves = [run.val for s in comparison.condition.schedules for run in s.runs.values()]
    if len({tuple(curve) for curve in curves}) > 1:
        found.append(
            "The runs were not all evaluated at the same steps, so their areas and best "
            "evaluations are not fully comparable."
        )
    return found


def mixed(condition: Condition) -> str:
    """Return a warning where a table compares more than schedules; else nothing."""
    keys = differing_keys([schedule.settings for schedule in condition.schedules])
    other = ", ".join(key for key in keys if key.startswith(CONDITIONS))
    return other and f"These runs differ in {other}: not only schedules are compared."


def check_rates(runs: Sequence[Run]) -> tuple[str, list[str]]:
    """Return a line on applied and previewed rates, and an alarm for each run where they differ."""
    checks = [(run, run.summary["lr_check"]) for run in runs if "lr_check" in run.summary]
    steps = sum(check["steps"] for _, check in checks)
    matching = steps - sum(check["mismatches"] for _, check in checks)
    line = f"Learning rates as previewed: {matching:,} of {steps:,} steps."
    unchecked = sum("lr_check" not in run.summary and not run.problem for run in runs)
    if unchecked:
        line += f" {unchecked} complete runs have no such check."
    return line, [
        f"{run.folder.name}: {check['mismatches']:,} of {check['steps']:,} applied learning rates "
        "differ from the preview. Its results are not those of its schedule."
        for run, check in checks
        if check["mismatches"]
    ]


def origin(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the data, the software and the machine of the runs, as their folders have them."""
    versions = (run.summary.get("versions", {}).items() for run in runs)
    found = {
        "data set": [run.summary.get("dataset") for run in runs],
        "model": [run.summary.get("model") for run in runs],
        "optimizer": [run.settings.get("optimizer._target_") for run in runs],
        "epochs": [run.settings.get("epochs") for run in runs],
        "batch size": [run.settings.get("batch_size") for run in runs],
        "versions": [", ".join(f"{name} {version}" for name, version in v) for v in versions],
        "device": [run.settings.get("device") for run in runs],
        "hardware": [run.summary.get("hardware") for run in runs],
        "seconds in all": [f"{sum(run.summary.get('seconds', 0) for run in runs):,.0f}"],
    }
    return [
        (name, "; ".join(dict.fromkeys(str(value) for value in values if value)) or "not recorded")
        for name, values in found.items()
    ]


LIMITS = (
    "The intervals are about the seed: initial weights, order and augmentation. They do not cover "
    "another test set, another model, another data set or a longer run.",
    "On the 10,000 test images of CIFAR, an accuracy near 50 % is known to about ± 1 point as the "
    "accuracy on all such images. Differences between runs on the same images are known better.",
    "A schedule was run with the arguments and the peak rate of its label and command line. With "
    "others it may do better: only an equally tuned comparison is about its shape.",
    "“No difference shown” is not “no difference”: the interval shows how large one may still be.",
    "The headline is the accuracy after the last step, on test images that each run read once. The "
    "best evaluation and ReduceLROnPlateau used the validation images.",
)
