"""Curves over seeds: few points, and runs for TensorBoard."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runs.comparison.curves import build_band, write_groups
from runs.comparison.runs import find_runs
from runs.comparison.settings import arrange
from runs.comparison.tables import compare_condition
from tests.helpers.studies import read_all, write_run


def test_a_band_has_the_steps_of_all_runs():
    assert build_band([{0: 1.0, 3: 2.0}, {3: 4.0, 5: 9.0}]).values.tolist() == [[3, 3.0, 2.0, 4.0]]
    assert build_band([{0: 1.0}, {1: 1.0}]) is build_band([]) is None


def read_group(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_mean_low_and_high_curves_are_runs_for_tensorboard(tmp_path):
    for seed, last in ((0, 20.0), (1, 30.0), (2, 25.0)):
        write_run(tmp_path / f"runs/{seed}", "step", seed, val={10: 10.0, 20: last})
    group, other = tmp_path / "groups/step", tmp_path / "groups/notes.txt"
    for curve in ("mean", "low", "high"):  # an older report's, which goes
        (group / curve).mkdir(parents=True)
        (group / curve / "events.out.tfevents.1").touch()
    other.write_text("mine")
    conditions = arrange(read_all(tmp_path / "runs"))
    write_groups(tmp_path, [compare_condition(part, None, []) for part in conditions])
    for curve, last in (("mean", 25.0), ("low", 20.0), ("high", 30.0)):
        assert len(list((group / curve).iterdir())) == 1
        found = read_group(group / curve)
        assert found["val/top1"] == [(10, 10.0), (20, last)]
        assert [found["lr/group0"][k] for k in (0, 1, 2)] == [(0, 0.1), (5, 0.1), (6, 0.02)]
    assert other.read_text() == "mine"
    assert len(find_runs([tmp_path])) == 3  # groups/ are no runs
