"""The best peak rate of each schedule, on the validation split."""

import pytest
import yaml

from runs.comparison.tuning import choose_best
from tests.helpers.studies import read_all, write_run


def write_tuning(folder, values):
    """values: scheduler to peak rate to validation accuracies by seed; None is a failed run."""
    for scheduler, rates in values.items():
        for lr, accuracies in rates.items():
            for seed, val in enumerate(accuracies):
                failed = {"status": "failed"} if val is None else {}
                curve = {10: 50.0, 20: val or 1.0}
                path = folder / f"{scheduler}_{lr}_{seed}"
                write_run(path, scheduler, seed, lr=lr, val=curve, summary=failed)


def test_the_best_peak_rate_is_chosen_on_the_validation_split(tmp_path):
    write_tuning(
        tmp_path,
        {
            "step": {0.05: [20.0, 21.0], 0.1: [24.0, 22.0], 0.2: [25.0, 20.0]},
            "none": {0.05: [20.0, 21.0], 0.1: [22.0, 22.0], 0.2: [23.0, 23.0]},
            "rex": {0.05: [20.0, 20.0], 0.1: [21.0, 21.0], 0.2: [90.0, None]},
        },
    )
    text = choose_best(read_all(tmp_path), "optimizer.lr")
    assert yaml.safe_load(text) == {"peak_lr": {"none": 0.2, "rex": 0.1, "step": 0.1}}
    lines = {line.split(":")[0].strip(): line for line in text.splitlines()}
    assert "23.00 % (n = 2), 3 tried" in lines["step"] and "EDGE" not in lines["step"]
    assert "AT THE UPPER EDGE" in lines["none"]
    assert "failed or unfinished: 0.2" in lines["rex"] and "EDGE" not in lines["rex"]
    assert "Unequal" not in text


def test_an_unfair_choice_is_flagged(tmp_path):
    write_tuning(tmp_path, {"step": {0.1: [20.0], 0.2: [19.0, 19.0]}, "none": {0.1: [20.0]}})
    text = choose_best(read_all(tmp_path), "optimizer.lr")
    assert "# Unequal numbers of trials: none 1, step 3." in text
    assert "UNEQUAL SEEDS" in text and "THE ONLY VALUE" in text
    with pytest.raises(ValueError, match="no complete run has this key"):
        choose_best(read_all(tmp_path), "optimizer.momentum")
