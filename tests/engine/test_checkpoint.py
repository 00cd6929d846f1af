"""Checkpoints are read as they were written, are whole or not there, and execute nothing."""

import json
import math
import os
import resource
import shutil
import sys
from contextlib import suppress

import numpy as np
import oneflow as flow
import pytest
from safetensors.numpy import load_file

from engine import checkpoint


def small_model(seed: int) -> flow.nn.Module:
    flow.manual_seed(seed)
    return flow.nn.Sequential(flow.nn.Linear(3, 2), flow.nn.BatchNorm1d(2))


def write(folder, step, **settings):
    """A checkpoint of `step` steps with one parameter group; its weights are those of seed step."""
    state = {"step": step, "first_step": 0, "momentum": {0: flow.ones(2) * step}}
    model = small_model(step).state_dict()
    return checkpoint.write_checkpoint(folder, model, [[0.5]] * step, state, **settings)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def newest_step(folder):
    return checkpoint.read_newest(folder).state["step"]


TRICKY = {
    "numbers": [math.inf, -math.inf, 5e-324, 1 / 3],
    "int keys": {0: "a", 17: "b", "step": 5},
    "tuple": (0.9, 0.999),
    "dollar": {"$float": "inf"},
    "nested": [{"deep": [None, True, (1, [2.5])]}, {}, [], ()],
}


def test_round_trip_is_exact_and_keeps_shapes(tmp_path):
    model = small_model(1)
    model(flow.randn(4, 3))  # moves the norm's buffers, `num_batches_tracked` among them
    rates = [[0.1, 1 / 3], [math.pi, 1e-300]]
    kinds = ("float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool")
    tensors = {kind: flow.tensor(np.arange(6).reshape(2, 3).astype(kind)) for kind in kinds}
    tensors |= {"transposed": flow.tensor(np.eye(3, 2)).T, "empty": flow.zeros(0, 3)}
    state = {"step": 2, "first_step": 0, "tensors": tensors, "tricky": TRICKY, "nan": math.nan}
    folder = checkpoint.write_checkpoint(tmp_path, model.state_dict(), rates, state)
    found = checkpoint.read_checkpoint(folder)
    assert found.applied.tolist() == rates
    assert repr(found.state["tricky"]) == repr(TRICKY) and math.isnan(found.state["nan"])
    assert found.model["1.num_batches_tracked"].shape == ()
    arrays = found.model | {name: t.numpy() for name, t in found.state["tensors"].items()}
    wanted = model.state_dict() | tensors
    assert arrays.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (arrays[name].dtype, arrays[name].shape) == (tensor.numpy().dtype, tensor.shape)
        np.testing.assert_array_equal(arrays[name], tensor.numpy())
    for name, array in load_file(tmp_path / "last/model.safetensors").items():
        np.testing.assert_array_equal(array, found.model[name])


def test_what_cannot_be_saved_is_named(tmp_path):
    state = {"step": 0, "scheduler": {"lr_lambda": lambda step: 1}}
    with pytest.raises(TypeError, match=r"state/scheduler/lr_lambda is a function"):
        checkpoint.write_checkpoint(tmp_path, {}, [], state)


def test_links_are_relative_and_best_is_kept_beside_the_newest(tmp_path):
    write(tmp_path / "a", 1, best=True)
    for step in (2, 3, 4):
        write(tmp_path / "a", step, keep_last=2)
    folder = (tmp_path / "a").rename(tmp_path / "b")
    assert names(folder) == ["best", "last", "step_00000001", "step_00000003", "step_00000004"]
    links = [os.readlink(folder / name) for name in ("best", "last")]
    assert links == ["step_00000001", "step_00000004"]
    assert newest_step(folder) == 4
    shutil.copytree(folder, tmp_path / "c", symlinks=False)  # a copy without links goes on too
    write(tmp_path / "c", 5)
    assert os.readlink(tmp_path / "c/last") == "step_00000005"


def test_the_newest_is_that_of_the_largest_numbers(tmp_path):
    for name in ("step_100000000", "step_99999999.2", "step_99999999.10", "step_x", "step_1"):
        (tmp_path / name).mkdir()
    found = [folder.name for folder in checkpoint.list_checkpoints(tmp_path)]
    assert found == ["step_100000000", "step_99999999.10", "step_99999999.2"]


def test_the_same_step_again_is_written_beside_and_then_replaces(tmp_path):
    """As after going back from a damaged one, which is in the way."""
    for step in (1, 2):
        write(tmp_path, step)
    (tmp_path / "step_00000002/state.json").unlink()
    again = write(tmp_path, 2)
    assert names(tmp_path) == ["last", "step_00000001", "step_00000002.1"]
    assert checkpoint.read_newest(tmp_path).folder == again


def test_a_failing_write_leaves_the_older_and_nothing_else(tmp_path):
    """No file may be larger than 300 bytes, as on a disk that is full."""
    write(tmp_path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == ["last", "step_00000001"]
    assert newest_step(tmp_path) == 1


def test_killed_at_any_moment(tmp_path):
    """Whatever was done before a kill, a sound checkpoint is found and the next write tidies up."""
    left = math.inf  # changes to the file system until the process is dead

    def count(event, arguments):
        nonlocal left
        changes = event.startswith(("os.", "shutil.")) and event != "os.listdir"
        if changes or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if left < 0:
                raise SystemExit

    sys.addaudithook(count)  # for good: there is no way to remove it
    write(tmp_path / "start", 1, best=True)
    steps = []
    for changes in range(100):
        folder = shutil.copytree(tmp_path / "start", tmp_path / str(changes), symlinks=True)
        left = changes
        with suppress(SystemExit):
            write(folder, 2, best=True, keep_last=1)
        left = math.inf
        steps.append(newest_step(folder))
        for link in ("last", "best"):
            assert (folder / link / "state.json").exists(), changes
        done = names(folder) == ["best", "last", "step_00000002"]
        write(folder, 3, keep_last=1, best=True)
        assert names(folder) == ["best", "last", "step_00000003"], changes
        if done:
            break
    assert done and changes > 15
    assert steps == sorted(steps) and set(steps) == {1, 2}


FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"]


@pytest.mark.parametrize("fault", ["flipped byte", "missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_found_and_the_older_one_used(tmp_path, name, fault, caplog):
    write(tmp_path, 1)
    path = write(tmp_path, 2) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if fault == "flipped byte":
        path.write_bytes(content)
    assert newest_step(tmp_path) == 1
    assert "step_00000002 is damaged" in caplog.text and "Going back to step 1." in caplog.text
    assert (f"{name} is missing" in caplog.text) == (fault == "missing")


def test_none_and_none_sound(tmp_path):
    assert checkpoint.read_newest(tmp_path / "nowhere") is None
    (write(tmp_path, 1) / "state.json").unlink()
    with pytest.raises(ValueError, match=r"No checkpoint in .* is sound: .*state.json is missing"):
        checkpoint.read_newest(tmp_path)


@pytest.mark.parametrize(
    "state",
    [
        *("[]", "{}", '{"step": 1}', "[" * 100_000, '{"step": 5, "first_step": 0}'),
        '{"step": 1, "first_step": 0, "x": NaN}',
        '{"step": 1, "first_step": 0, "x": {"$code": "import os"}}',
        '{"step": 1, "first_step": 0, "x": {"$float": "1"}}',
        '{"step": 1, "first_step": 0, "x": {"$tensor": "nowhere"}}',
        '{"step": 1, "first_step": 0, "x": {"$pairs": [1]}}',
    ],
)
def test_a_forged_state_with_right_checksums_is_one_error(tmp_path, state):
    folder = write(tmp_path, 1)
    (folder / "state.json").write_text(state)
    table = {name: checkpoint.checksum((folder / name).read_bytes()) for name in FILES[:3]}
    (folder / "checksums.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.read_checkpoint(folder)
