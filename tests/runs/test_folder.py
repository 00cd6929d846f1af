"""What a run has left is read as TensorBoard reads it; damage and excess end with a sentence."""

import os
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.record_writer import masked_crc32c

from engine.events import EventFile
from runs.config import MAX_BYTES
from runs.folder import (
    MAX_RECORD,
    read_applied,
    read_evaluations,
    read_metrics,
    read_records,
    read_scalars,
    read_summary,
)
from runs.overrides import read_overrides
from tests.helpers.continuing import EVERYTHING
from tests.helpers.mutations import CHANGES, COUNTS, fuzzing, mutate
from tests.helpers.sandbox import outcome


def write_events(folder, steps, start=0, scale=1.0):
    """One event file: lr/group0 = scale / (step + 1), and another tag that is not wanted."""
    events = EventFile(folder)
    if start:
        events.restart(start)
    for step in range(start, start + steps):
        # values of different lengths in the file: zero is not stored
        events.scalars({"lr/group0": scale * (step % 3), "train/loss": 1.0}, step, 0.0)
    events.close()


def read_rates(folder):
    return read_scalars(folder, lambda tag: tag.startswith("lr/"))


def test_the_values_are_those_that_tensorboard_reads(tmp_path):
    write_events(tmp_path, steps=10)
    write_events(tmp_path, steps=4, start=6, scale=7.0)  # resumed at 6: 6 to 9 were made again
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    expected = {event.step: event.value for event in accumulator.Scalars("lr/group0")}
    assert read_rates(tmp_path) == {"lr/group0": expected}
    assert expected[5] == 2.0 and expected[7] == 7.0 and len(expected) == 10
    write_events(tmp_path, steps=0, start=6)  # a restart takes back the step that it names, too
    assert list(read_rates(tmp_path)["lr/group0"]) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (lambda data: data, 10),
        (lambda data: data[:-1], 9),  # killed while the last record was written
        (lambda data: data[:-60], 8),  # the one before it, too
        (lambda data: data + b"\x05\x00\x00", 10),  # killed after three bytes of a record
        (lambda data: b"", 0),
    ],
)
def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path, change, steps):
    write_events(tmp_path, steps=10)
    (path,) = tmp_path.iterdir()
    path.write_bytes(change(path.read_bytes()))
    assert list(read_rates(tmp_path).get("lr/group0", {})) == list(range(steps))


@pytest.mark.parametrize("place", [0, 8, 30, -1, -30, -70])
def test_a_changed_byte_is_found(tmp_path, place):
    write_events(tmp_path, steps=10)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="is damaged"):
        read_rates(tmp_path)


def record(content):
    """A record as TensorBoard writes it: length, its checksum, content, its checksum."""
    parts = (len(content).to_bytes(8, "little"), content)
    return b"".join(part + masked_crc32c(part).to_bytes(4, "little") for part in parts)


def test_a_record_larger_than_any_of_a_run_is_refused(tmp_path):
    path, largest = tmp_path / "events", b"x" * MAX_RECORD
    path.write_bytes(record(b"a") + record(largest))
    assert read_records(path) == [b"a", largest]
    path.write_bytes(record(b"a") + record(largest + b"x"))
    with pytest.raises(ValueError, match=f"has a record of more than {MAX_RECORD} bytes"):
        read_records(path)


OVERRIDES = partial(read_overrides, checked=False)
VAL = partial(read_evaluations, name="val/top1")
LOSS, TOP1 = partial(read_metrics, mode="min"), partial(read_metrics, mode="max")


@pytest.mark.parametrize(
    ("file", "text", "read", "expected"),
    [
        (".hydra/overrides.yaml", None, OVERRIDES, []),
        (".hydra/overrides.yaml", "- a=1\n- b\n", OVERRIDES, ["a=1", "b"]),
        (".hydra/overrides.yaml", "- [a]\n", OVERRIDES, "overrides: it is not a list of texts"),
        (".hydra/overrides.yaml", "#" * (MAX_BYTES + 1), OVERRIDES, "it is larger than 262144"),
        ("summary.json", None, read_summary, {}),
        ("summary.json", "", read_summary, "summary.json is damaged"),
        ("summary.json", "[]", read_summary, "it holds something else than JSON objects"),
        ("metrics.jsonl", None, VAL, {}),
        ("metrics.jsonl", '{"step": 0, "val/top1": 1}\n{"step": 9}\n', VAL, {0: 1}),
        ("metrics.jsonl", '{"step": -1, "val/top1": 1}\n', VAL, "a step or val/top1 is no"),
        ("metrics.jsonl", '{"step": 1, "val/top1": true}\n', VAL, "a step or val/top1 is"),
        ("metrics.jsonl", '{"step": 1, "val/loss": 2.5}\n', LOSS, {1: 2.5}),
        ("metrics.jsonl", '{"step": 1, "val/loss": 2.5}\n', TOP1, "no evaluation with val/top1"),
    ],
)
def test_what_a_run_has_left_is_read_or_refused(tmp_path, file, text, read, expected):
    if text is not None:
        (tmp_path / ".hydra").mkdir()
        (tmp_path / file).write_text(text)
    if isinstance(expected, str):
        with pytest.raises((ValueError, FileNotFoundError), match=expected):
            read(tmp_path)
    else:
        assert read(tmp_path) == expected


def test_nothing_waits_for_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "summary.json")
    assert read_summary(tmp_path) == {}


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_records(tmp_path, whole, count):
    """They are read, or refused in a sentence."""
    for path in whole(*EVERYTHING).iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    readers = {
        next(tmp_path.glob("events.out.tfevents.*")): lambda: read_applied(tmp_path),
        tmp_path / "metrics.jsonl": lambda: read_metrics(tmp_path, "max"),
        tmp_path / "summary.json": lambda: read_summary(tmp_path),
    }
    sound = {path: path.read_bytes() for path in readers}
    right = {path: read() for path, read in readers.items()}
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
