"""What a run has recorded (events, metrics, summary), mutated: read, or refused in a sentence."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_data_fuzz import COUNTS, fuzzing
from tests.helpers.mutations import CHANGES, mutate
from tests.helpers.sandbox import outcome

run_folder = pytest.importorskip("runs.folder")


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_records(tmp_path, run_training, count):
    run = run_training("scheduler=reduce_on_plateau", "max_steps=12", "trainer.eval_every=4")
    folder = run.folder
    readers = {
        path: read
        for pattern, read in {
            "events.out.tfevents.*": lambda: run_folder.read_applied(folder),
            "metrics.jsonl": lambda: run_folder.read_metrics(folder, "max"),
            "summary.json": lambda: run_folder.read_summary(folder),
        }.items()
        for path in folder.glob(pattern)
    }
    assert len(readers) == 3
    sound = {path: path.read_bytes() for path in readers}
    right = {path: read() for path, read in readers.items()}  # also imports TensorBoard
    assert all(right.values())
    told = Counter()

    @fuzzing(count)
    @given(st.sampled_from(sorted(readers)), CHANGES)
    def run_one(path, changes):
        content = mutate(sound[path], changes)
        path.write_bytes(content)
        found = outcome(tmp_path, readers[path])
        path.write_bytes(sound[path])
        told[path.name.split(".")[0], "error" if found is None else "read"] += 1
        if content == sound[path]:
            assert found == right[path]

    run_one()
    print(f"{sum(told.values())} records: {dict(sorted(told.items()))}")


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "7",
        "null",
        "[" * 100_000,
        '{"step": 1}\n7',
        '{"val/top1": 1}',
        "\0",
        "NaN",
        '{"step": {}, "val/top1": 1}',
    ],
)
@pytest.mark.parametrize("name", ["summary.json", "metrics.jsonl"])
def test_hostile_records(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    if name == "summary.json":
        found = outcome(tmp_path, lambda: run_folder.read_summary(tmp_path))
        assert found is None or isinstance(found, dict)
    else:
        assert outcome(tmp_path, lambda: run_folder.read_metrics(tmp_path, "max")) is None
