"""Exported weights are those of the checkpoint; nothing that exists is overwritten."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import oneflow as flow
import pytest

from engine.checkpoint import write_checkpoint
from models.convnet import convnet_tiny
from scripts.export import export

ROOT = Path(__file__).resolve().parent.parent.parent


def build_model(seed):
    """A model whose weights, and buffers that a forward pass moves, follow from the seed."""
    flow.manual_seed(seed)
    model = convnet_tiny(num_classes=10)
    model(flow.randn(4, 3, 32, 32))
    return model


@pytest.fixture
def run(tmp_path):
    """A run folder whose newest checkpoint has the weights of seed 2, and its best those of 1."""
    for step in (1, 2):
        state = {"step": step, "first_step": 0}
        model = build_model(step).state_dict()
        rates = [[0.1]] * step
        write_checkpoint(tmp_path / "run" / "checkpoints", model, rates, state, best=step == 1)
    return tmp_path / "run"


def assert_weights(found, seed):
    wanted = build_model(seed).state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name].numpy(), tensor.numpy(), err_msg=name)
        assert found[name].shape == tensor.shape and found[name].dtype == tensor.dtype


@pytest.mark.parametrize(
    ("source", "seed"),
    [(".", 2), ("checkpoints/last", 2), ("checkpoints/best", 1), ("checkpoints/step_00000001", 1)],
)
def test_oneflow_loads_the_weights(run, tmp_path, source, seed):
    if source == ".":
        (tmp_path / "out").mkdir()  # an empty folder is filled
    export(run / source, tmp_path / "out")
    found = flow.load(str(tmp_path / "out"))
    assert_weights(found, seed)
    model = build_model(5)
    model.load_state_dict(found)
    assert_weights(model.state_dict(), seed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]  # no remains


def refuse(run, out, error, match):
    before = sorted(path for path in out.parent.rglob("*"))
    with pytest.raises(error, match=match):
        export(run, out)
    assert sorted(path for path in out.parent.rglob("*")) == before


def test_nothing_is_overwritten_or_left_over(run, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for out in (tmp_path / "full", tmp_path / "full" / "mine", tmp_path / "link"):
        refuse(run, out, FileExistsError, r"exists already: name a new or an empty folder\.")
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    refuse(tmp_path, tmp_path / "out", FileNotFoundError, "expected a checkpoint, or a run folder")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        export(run, tmp_path / "no" / "out")
    weights = run / "checkpoints" / "step_00000001" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refuse(run / "checkpoints" / "best", tmp_path / "out", ValueError, "damaged: model.safetensors")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flow, "save", fail)
    refuse(run, tmp_path / "out", OSError, "No space left")


def call(*arguments):
    command = [sys.executable, "-W", "ignore", "-m", "scripts.export", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_command(run, tmp_path):
    done = call(run, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"Written: .*/out, the weights of .*step_00000002 after 2 steps\.\n", done.stdout
    )
    again = call(run, tmp_path / "out")
    assert again.returncode == 1
    assert re.fullmatch(r"error: .*/out exists already: .*\n", again.stderr)
