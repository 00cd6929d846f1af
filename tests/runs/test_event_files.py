"""The reader of event files against TensorBoard's own, and against damage."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from engine.events import EventFile
from runs import folder as event_files
from runs.folder import read_scalars


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


def test_a_restart_takes_back_its_own_step_too(tmp_path):
    write_events(tmp_path, steps=10)
    write_events(tmp_path, steps=0, start=6)
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


def test_a_record_larger_than_any_of_a_run_is_refused(tmp_path, monkeypatch):
    write_events(tmp_path, steps=10)
    (path,) = tmp_path.iterdir()
    largest = max(map(len, event_files.read_records(path)))
    monkeypatch.setattr(event_files, "MAX_RECORD", largest)
    assert len(event_files.read_records(path)) > 10
    monkeypatch.setattr(event_files, "MAX_RECORD", largest - 1)
    with pytest.raises(ValueError, match=f"has a record of more than {largest - 1} bytes"):
        event_files.read_records(path)
