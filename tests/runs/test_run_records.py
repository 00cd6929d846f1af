"""What a run has recorded (events, metrics, summary), mutated: read, or refused in a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.folder import read_applied, read_metrics, read_summary
from tests.helpers.mutations import CHANGES, COUNTS, fuzzing, mutate
from tests.helpers.sandbox import outcome


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_records(tmp_path, run_training, count):
    run = run_training("scheduler=reduce_on_plateau", "max_steps=12", "trainer.eval_every=4")
    folder = run.folder
    readers = {
        next(folder.glob("events.out.tfevents.*")): lambda: read_applied(folder),
        folder / "metrics.jsonl": lambda: read_metrics(folder, "max"),
        folder / "summary.json": lambda: read_summary(folder),
    }
    sound = {path: path.read_bytes() for path in readers}
    right = {path: read() for path, read in readers.items()}  # also imports TensorBoard
    assert all(right.values())

    @fuzzing(count)
    @given(st.sampled_from(sorted(readers)), CHANGES)
    def run_one(path, changes):
        content = mutate(sound[path], changes)
        path.write_bytes(content)
        found = outcome(tmp_path, readers[path])
        path.write_bytes(sound[path])
        if content == sound[path]:
            assert found == right[path]

    run_one()


HOSTILE = ("[1]", "7", "null", "[" * 100_000, "{", "\0", "NaN", '{"step": 1}\n7')
NO_METRICS = ('{"val/top1": 1}', '{"step": {}, "val/top1": 1}', '{"step": 1, "val/top1": "x"}')


@pytest.mark.parametrize("text", [*HOSTILE, *NO_METRICS])
def test_hostile_records(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(text)
    assert outcome(tmp_path, lambda: read_metrics(tmp_path, "max")) is None
    (tmp_path / "summary.json").write_text(text)
    summary = outcome(tmp_path, lambda: read_summary(tmp_path))
    assert isinstance(summary, dict) if text in NO_METRICS else summary is None
