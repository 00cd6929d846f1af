"""What the figures say, in plain sentences that claim no more than the tests behind them."""

from collections.abc import Sequence

import numpy as np

from runs.comparison.curves import rates_told
from runs.comparison.runs import Run
from runs.comparison.settings import CONDITIONS, Condition, differing_keys
from runs.comparison.statistics import FEWEST_TO_OBJECT, Difference
from runs.comparison.tables import NO_LUCK, Comparison, interval, signed

MOST_ALIKE = 6  # so many sentences that say "no difference shown", before one says it for all


def conclude(comparison: Comparison) -> list[str]:
    """A sentence for each comparison with the reference, from the best to the worst.

    Of more than `MOST_ALIKE` that show nothing, one sentence for all.
    """
    results, reference = comparison.results, comparison.reference
    if not results:
        return ["No run of these is complete."]
    best, *others = results
    if not others:
        return [f"{best} is alone: there is nothing to compare it with."]
    if all(len(values) == 1 for values in results.values()):
        return [f"{NO_LUCK}. The highest test top-1 is that of {best}."]
    ordered = sorted(comparison.differences.items(), key=lambda item: -item[1].mean)
    alike = {label: found for label, found in ordered if is_plain(found)}
    if len(alike) <= MOST_ALIKE:
        alike = {}
    said = [
        compare_in_words(label, reference, found) for label, found in ordered if label not in alike
    ]
    if alike:
        (first, most), *_, (last, least) = alike.items()
        said.append(
            f"no difference shown between {reference} and any of {len(alike)} others, from {first} "
            f"{figures(most)} to {last} {figures(least)}. Each has its row in the table."
        )
    if best != reference and others[0] != reference:
        said.append(
            f"The highest mean is that of {best}, before {others[0]}. Each was compared with "
            f"{reference} only, so this does not say that {best} is the better of the two."
        )
    return said


def compare_in_words(label: str, reference: str, difference: Difference) -> str:
    """One comparison.

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
        return (
            f"{label} against {reference}: {points} with the one seed that both have: "
            "no statement about luck is possible."
        )
    if difference.same:
        return f"{label} and {reference} reached the same in each of {n} seeds."
    if np.isnan(difference.p):
        return (
            f"{label} against {reference}: {points} in each of {n} seeds; differences without any "
            "spread cannot be tested."
        )
    verdict = f"no difference shown between {label} and {reference}"
    if difference.shown:
        verdict = f"{label} is {'better' if difference.mean > 0 else 'worse'} than {reference}"
    return f"{verdict} {figures(difference)}{second(difference)}"


def is_plain(difference: Difference) -> bool:
    """Whether it was tested, nothing is shown, and there is nothing else to say."""
    return not np.isnan(difference.p) and not difference.shown and second(difference) == "."


def figures(difference: Difference) -> str:
    """A tested difference and how sure it is."""
    between = interval(difference.low, difference.high)
    return f"({signed(difference.mean)} points, 95 % interval {between}, n = {difference.n})"


def second(difference: Difference) -> str:
    """The end of the sentence: what the bootstrap says where it says something else."""
    if difference.bootstrap is None or difference.n < FEWEST_TO_OBJECT:
        return "."
    low, high = difference.bootstrap
    if difference.shown == (low > 0 or high < 0):
        return "."
    return f"; the bootstrap disagrees ({interval(low, high)}), so look at the differences."


def notes(comparison: Comparison) -> list[str]:
    """What a reader of one condition's tables must know."""
    found = []
    reference = {s.label: s for s in comparison.condition.schedules}.get(comparison.reference)
    if reference and reference.scheduler == "none" and len(comparison.results) > 1:
        found.append(f"{reference.label}, the reference, is the fixed rate: no schedule at all.")
    partial = {
        label: d
        for label, d in comparison.differences.items()
        if d.n
        and d.n < len(comparison.results[label].keys() | comparison.results[comparison.reference])
    }
    for label, d in partial.items():
        found.append(
            f"{label} is compared with {comparison.reference} in the {d.n} seeds that both have "
            f"({', '.join(map(str, d.seeds))}), not in the others."
        )
    if any(d.bootstrap and d.n < FEWEST_TO_OBJECT for d in comparison.differences.values()):
        found.append(
            f"A bootstrap interval of fewer than {FEWEST_TO_OBJECT} seeds is too narrow: with 3 it "
            "covers about 70 % where it says 95 %. The other interval decides."
        )
    if comparison.ranks:
        found.append(
            "The mean rank counts from 1, the best, within each of the seeds that all schedules "
            f"have ({', '.join(map(str, comparison.rank_seeds))})."
        )
    elif len(comparison.results) > 1:
        found.append("There is no mean rank: no seed was run under all schedules.")
    curves = [run.val for s in comparison.condition.schedules for run in s.runs.values()]
    if len({tuple(curve) for curve in curves}) > 1:
        found.append(
            "The runs were not all evaluated at the same steps, so their areas and best "
            "evaluations are not fully comparable."
        )
    return found


def mixed(condition: Condition) -> str:
    """That a table compares more than schedules, where it does."""
    keys = differing_keys([schedule.settings for schedule in condition.schedules])
    other = [key for key in keys if key.startswith(CONDITIONS)]
    if not other:
        return ""
    return f"These runs differ in {', '.join(other)}: it is not schedules alone that are compared."


def tell_rates(runs: Sequence[Run]) -> tuple[str, list[str]]:
    """The line about applied and previewed rates, and an alarm for each run where they differ."""
    matching, steps, silent = rates_told(runs)
    line = f"Learning rates as previewed: {matching:,} of {steps:,} steps."
    if silent:
        line += f" {silent} complete runs do not say."
    alarms = []
    for run in runs:
        check = run.summary.get("lr_check", {})
        if check.get("mismatches"):
            alarms.append(
                f"{run.folder.name}: {check['mismatches']:,} of {check['steps']:,} applied "
                "learning rates differ from the preview. Its results are not those of its schedule."
            )
    return line, alarms


def provenance(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What the run folders say of where they come from."""

    def told(values: Sequence[str]) -> str:
        return "; ".join(dict.fromkeys(values)) or "not recorded"

    versions = [
        ", ".join(f"{name} {number}" for name, number in run.summary["versions"].items())
        for run in runs
        if "versions" in run.summary
    ]
    settings = [run.settings for run in runs if run.settings]
    return [
        ("data set", told([run.summary["dataset"] for run in runs if "dataset" in run.summary])),
        ("model", told([run.summary["model"] for run in runs if "model" in run.summary])),
        ("optimizer", told([str(s.get("optimizer._target_")) for s in settings])),
        ("epochs", told([str(s.get("epochs")) for s in settings])),
        ("batch size", told([str(s.get("batch_size")) for s in settings])),
        ("versions", told(versions)),
        ("device", told([str(s["device"]) for s in settings if s.get("device")])),
        ("hardware", told([run.summary["hardware"] for run in runs if "hardware" in run.summary])),
        ("seconds in all", f"{sum(run.summary.get('seconds', 0) for run in runs):,.0f}"),
    ]


LIMITS = (
    "The intervals are about the seed: initial weights, order and augmentation. They do not cover "
    "another test set, another net, another data set or a longer run.",
    "On the 10,000 test images of CIFAR, an accuracy near 50 % is known to about ± 1 point as the "
    "accuracy on all such images. Differences between runs on the same images are known better.",
    "A schedule was run with the arguments and the peak rate that its label and command tell. With "
    "others it may do better: only an equally tuned comparison says something about its shape.",
    "“No difference shown” is not “no difference”: the interval says how large one may still be.",
    "The headline is the accuracy after the last step, on test images that each run read once. The "
    "validation images decided the best evaluation and what ReduceLROnPlateau saw.",
)
