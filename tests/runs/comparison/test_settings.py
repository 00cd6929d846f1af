"""Which runs make one schedule, and which schedules are compared."""

import pytest

from runs.comparison.settings import arrange
from tests.helpers.studies import read_all, write_run


@pytest.mark.parametrize(
    ("varied", "expected"),
    [
        ([{"seed": 0}, {"seed": 1}], {"": ["step"]}),
        ([{"device": "cpu"}, {"seed": 1, "dataset__root": "elsewhere"}], {"": ["step"]}),
        ([{"peak_lr": {"step": 0.1}}, {"seed": 1, "dry_run": False}], {"": ["step"]}),
        ([{"fork": "outputs/RUN", "trainer__ema_decay": None}, {"seed": 1}], {"": ["step"]}),
        (
            [{"lr": 0.5}, {"lr": 0.1}, {"scheduler": "none", "lr": 0.1}],
            {
                "": [
                    f"{s} (optimizer.lr={lr})"
                    for s, lr in (("none", 0.1), ("step", 0.1), ("step", 0.5))
                ]
            },
        ),
        # A schedule with its own peak rate keeps its short name.
        ([{"lr": 0.1}, {"scheduler": "none", "lr": 0.5}], {"": ["none", "step"]}),
        (
            [{"scheduler__gamma": 0.2}, {"scheduler__gamma": 0.1}],
            {"": ["step (gamma=0.1)", "step (gamma=0.2)"]},
        ),
        # Another budget is another question, unless it is the only one.
        (
            [{"epochs": e, "scheduler": s} for e in (10, 9) for s in ("step", "none")],
            {"epochs=9": ["none", "step"], "epochs=10": ["none", "step"]},
        ),
        ([{"epochs": 10}, {"epochs": 9}], {"": ["step (epochs=9)", "step (epochs=10)"]}),
        (
            [{"model___target_": m, "scheduler": s} for m in ("a.A", "b.B") for s in "xy"],
            {"model._target_=a.A": ["x", "y"], "model._target_=b.B": ["x", "y"]},
        ),
    ],
)
def test_schedules_are_runs_that_differ_in_their_seed_alone(tmp_path, varied, expected):
    for place, settings in enumerate(varied):
        write_run(tmp_path / str(place), **settings)
    conditions = arrange(read_all(tmp_path))
    found = [(part.title, [schedule.label for schedule in part.schedules]) for part in conditions]
    assert found == list(expected.items())
    if len(varied) == 2 and expected == {"": ["none", "step"]}:
        rates = [schedule.differs for schedule in conditions[0].schedules]
        assert rates == [{"optimizer.lr": 0.5}, {"optimizer.lr": 0.1}]


def test_the_same_run_twice_counts_once(tmp_path):
    for name in ("1_first", "2_again"):
        write_run(tmp_path / name, seed=3)
    (condition,) = arrange(runs := read_all(tmp_path))
    assert {k: run.folder.name for k, run in condition.schedules[0].runs.items()} == {3: "2_again"}
    assert condition.schedules[0].excluded == [runs[0]]
    assert runs[0].problem == "the same configuration and seed as 2_again, which counts"
