"""Checkpoints are read as they were written, replace the older one whole, and execute nothing."""

import json

import numpy as np
import oneflow as flow
import pytest

from engine import checkpoint


def small_model(seed: int) -> flow.nn.Module:
    flow.manual_seed(seed)
    return flow.nn.Sequential(flow.nn.Linear(3, 2), flow.nn.BatchNorm1d(2))


def arrays(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def test_round_trip_is_exact_and_keeps_0d_buffers(tmp_path):
    model, other = small_model(1), small_model(2)
    model(flow.randn(4, 3))  # moves the norm's buffers, `num_batches_tracked` among them
    checkpoint.write_checkpoint(tmp_path / "last", model, {"step": 7})
    assert checkpoint.read_checkpoint(tmp_path / "last", other) == {"step": 7}
    for name, array in arrays(model).items():
        np.testing.assert_array_equal(arrays(other)[name], array, err_msg=name)
    assert arrays(other)["1.num_batches_tracked"] == 1


def test_the_newer_replaces_the_older(tmp_path):
    for step in (1, 2):
        checkpoint.write_checkpoint(tmp_path / "last", small_model(step), {"step": step})
    assert checkpoint.read_checkpoint(tmp_path / "last", small_model(0))["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_failing_write_leaves_the_older(tmp_path, monkeypatch):
    checkpoint.write_checkpoint(tmp_path / "last", small_model(1), {"step": 1})

    def full(*arguments, **keywords):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.write_checkpoint(tmp_path / "last", small_model(2), {"step": 2})
    assert checkpoint.read_checkpoint(tmp_path / "last", small_model(0))["step"] == 1


def test_killed_between_the_two_moves(tmp_path):
    checkpoint.write_checkpoint(tmp_path / "last", small_model(1), {"step": 1})
    (tmp_path / "last").rename(tmp_path / "last.old")
    assert checkpoint.read_checkpoint(tmp_path / "last", small_model(0))["step"] == 1


def test_no_checkpoint_and_another_models_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no checkpoint in"):
        checkpoint.read_checkpoint(tmp_path / "last", small_model(0))
    checkpoint.write_checkpoint(tmp_path / "last", small_model(0), {"step": 1})
    with pytest.raises(ValueError, match=r"another model: 0.bias differs"):
        checkpoint.read_checkpoint(tmp_path / "last", flow.nn.Linear(3, 2, bias=False))


def test_state_is_strict_json(tmp_path):
    checkpoint.write_checkpoint(tmp_path / "last", small_model(0), {"best": {"top1": 1.5}})
    text = (tmp_path / "last/state.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"best": {"top1": 1.5}}
