"""Checkpoints are read as they were written, are whole or not there, and execute nothing."""

import json
import math
import os
import shutil

import numpy as np
import oneflow as flow
import pytest

from engine import checkpoint, encoding
from engine.encoding import decode, encode, pack


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


def test_round_trip_is_exact_and_keeps_0d_buffers(tmp_path):
    model = small_model(1)
    model(flow.randn(4, 3))  # moves the norm's buffers, `num_batches_tracked` among them
    rates = [[0.1, 1 / 3], [math.pi, 1e-300]]
    state = {"step": 2, "first_step": 0, "buffer": flow.ones(1) / 3}
    folder = checkpoint.write_checkpoint(tmp_path, model.state_dict(), rates, state)
    found = checkpoint.read_checkpoint(folder)
    wanted = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert found.model.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found.model[name], array, err_msg=name)
    assert found.model["1.num_batches_tracked"].shape == ()
    assert found.applied.tolist() == rates
    assert found.state["buffer"].numpy() == np.float32(1) / 3


TRICKY = {
    "inf": math.inf,
    "minus": -math.inf,
    "int keys": {0: "a", 17: "b", "step": 5},
    "tuple": (0.9, 0.999),
    "dollar": {"$float": "inf"},
    "nested": [{"deep": [None, True, (1, [2.5])]}],
    "empty": [{}, [], ()],
    "tiny": 5e-324,
    "third": 1 / 3,
}


def test_what_json_cannot_say_comes_back_as_it_was():
    text = json.dumps(encode(TRICKY, {}, "state"), allow_nan=False)
    found = decode(json.loads(text), {})
    assert found == TRICKY
    assert type(found["tuple"]) is tuple
    assert math.isnan(decode(json.loads(json.dumps(encode(math.nan, {}, "x"))), {}))


def test_what_cannot_be_saved_is_named():
    with pytest.raises(TypeError, match=r"state/scheduler/lr_lambda is a function"):
        encode({"scheduler": {"lr_lambda": lambda step: 1}}, {}, "state")


def test_what_is_packed_is_a_safetensors_file():
    from safetensors.numpy import load

    kinds = ("float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool")
    arrays = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}
    arrays |= {"0-d": np.array(7), "empty": np.zeros((0, 3)), "transposed": np.eye(3, 2).T}
    found = load(b"".join(bytes(part) for part in pack(arrays)))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_what_is_fetched_together_comes_apart_as_it_was(monkeypatch):
    """Small and large, more than OneFlow joins at once, kinds that are not joined, and 0-d."""
    monkeypatch.setattr(encoding, "SMALL", 7)
    arrays = {f"{n}": np.arange(n, n + 6).reshape(2, 3).astype("float32") for n in range(300)}
    arrays |= {"large": np.eye(3, dtype="float32"), "count": np.array(7), "empty": np.zeros((0, 3))}
    arrays |= {kind: np.arange(4).astype(kind) for kind in ("float16", "int64", "int8", "bool")}
    found = encoding.fetch({name: flow.tensor(array) for name, array in arrays.items()})
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_links_are_relative_and_best_is_kept_beside_the_newest(tmp_path):
    write(tmp_path, 1, best=True)
    for step in (2, 3, 4):
        write(tmp_path, step, keep_last=2)
    assert names(tmp_path) == ["best", "last", "step_00000001", "step_00000003", "step_00000004"]
    assert os.readlink(tmp_path / "last") == "step_00000004"
    assert os.readlink(tmp_path / "best") == "step_00000001"


def test_a_moved_folder_reads_the_same(tmp_path):
    write(tmp_path / "a", 3)
    (tmp_path / "a").rename(tmp_path / "b")
    assert checkpoint.read_newest(tmp_path / "b").state["step"] == 3
    assert (tmp_path / "b/last/state.json").exists()


def test_a_copy_without_links_is_gone_on_with(tmp_path):
    write(tmp_path / "a", 3, best=True)
    shutil.copytree(tmp_path / "a", tmp_path / "b", symlinks=False)
    write(tmp_path / "b", 4)
    assert os.readlink(tmp_path / "b/last") == "step_00000004"


def test_the_same_step_again_is_written_beside_and_then_replaces(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 2)
    again = write(tmp_path, 2)
    assert again.name == "step_00000002.1"
    assert names(tmp_path) == ["last", "step_00000001", "step_00000002.1"]
    assert checkpoint.read_newest(tmp_path).folder == again


def test_a_failing_write_leaves_the_older_and_nothing_else(tmp_path, monkeypatch):
    write(tmp_path, 1)

    def full(path, parts):
        path.write_bytes(parts[0][:4])
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_file", full)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path, 2)
    assert names(tmp_path) == ["last", "step_00000001"]
    assert checkpoint.read_newest(tmp_path).state["step"] == 1


@pytest.mark.parametrize(
    "moment",
    ["write_file", "sync", "point", "prune"],
)
def test_killed_at_any_moment(tmp_path, monkeypatch, moment):
    """Whatever was done before a kill, a sound checkpoint is found and the next write tidies up."""
    write(tmp_path, 1, best=True)

    class Killed(BaseException):
        pass

    def killed(*arguments, **keywords):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, moment, killed)
        with pytest.raises(Killed):
            write(tmp_path, 2, best=True)
    assert checkpoint.read_newest(tmp_path).state["step"] in (1, 2)
    assert (tmp_path / "last/state.json").exists() and (tmp_path / "best/state.json").exists()
    write(tmp_path, 3, keep_last=1, best=True)
    assert names(tmp_path) == ["best", "last", "step_00000003"]


FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_found_and_the_older_one_used(tmp_path, name, caplog):
    write(tmp_path, 1)
    path = write(tmp_path, 2) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert checkpoint.read_newest(tmp_path).state["step"] == 1
    assert "step_00000002 is damaged" in caplog.text and "Going back to step 1." in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found_and_the_older_one_used(tmp_path, name, caplog):
    write(tmp_path, 1)
    (write(tmp_path, 2) / name).unlink()
    assert checkpoint.read_newest(tmp_path).state["step"] == 1
    assert f"step_00000002 is damaged: {name} is missing" in caplog.text


def test_what_went_wrong_is_done_again(tmp_path):
    """After going back from a damaged one, newer folders are in the way: they go."""
    for step in (1, 2):
        write(tmp_path, step)
    (tmp_path / "step_00000002/state.json").unlink()
    write(tmp_path, 2)
    assert names(tmp_path) == ["last", "step_00000001", "step_00000002.1"]


def test_none_and_none_sound(tmp_path):
    assert checkpoint.read_newest(tmp_path / "nowhere") is None
    (write(tmp_path, 1) / "state.json").unlink()
    with pytest.raises(ValueError, match=r"No checkpoint in .* is sound: .*state.json is missing"):
        checkpoint.read_newest(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"step": 1}',
        '{"step": NaN, "first_step": 0}',
        '{"step": 5, "first_step": 0}',
        '{"step": 1, "first_step": 0, "x": {"$code": "import os"}}',
        '{"step": 1, "first_step": 0, "x": {"$float": "1"}}',
        '{"step": 1, "first_step": 0, "x": {"$tensor": "nowhere"}}',
        '{"step": 1, "first_step": 0, "x": {"$pairs": [1]}}',
        "[" * 100_000,
    ],
)
def test_a_forged_state_with_right_checksums_is_one_error(tmp_path, text):
    folder = write(tmp_path, 1)
    (folder / "state.json").write_text(text)
    table = json.loads((folder / "checksums.json").read_text())
    table["state.json"] = checkpoint.checksum(text.encode())
    (folder / "checksums.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.read_checkpoint(folder)


def test_weights_load_with_safetensors_alone(tmp_path):
    from safetensors.numpy import load_file

    write(tmp_path, 1, best=True)
    model = small_model(0)
    model.load_state_dict(load_file(tmp_path / "best/model.safetensors"))
    np.testing.assert_array_equal(model[0].weight.numpy(), small_model(1)[0].weight.numpy())
