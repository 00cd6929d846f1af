"""Exported weights are those of the checkpoint; nothing that exists is overwritten."""

import re
import subprocess
import sys

import numpy as np
import oneflow as flow
import pytest

from engine.checkpoint import write_checkpoint
from models.convnet import convnet_tiny
from scripts.export import export, main
from tests.conftest import ROOT


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
        model, state = build_model(step).state_dict(), {"step": step, "first_step": 0}
        rates = [[0.1]] * step
        write_checkpoint(tmp_path / "run" / "checkpoints", model, rates, state, best=step == 1)
    return tmp_path / "run"


def test_oneflow_loads_the_weights(run, tmp_path):
    (tmp_path / "0").mkdir()  # an empty folder is filled
    sources = {".": 2, "checkpoints/last": 2, "checkpoints/best": 1, "checkpoints/step_00000001": 1}
    for number, (source, seed) in enumerate(sources.items()):
        export(run / source, tmp_path / str(number))
        found = flow.load(str(tmp_path / str(number)))
        wanted = build_model(seed).state_dict()
        assert found.keys() == wanted.keys()
        for name, tensor in wanted.items():
            assert np.array_equal(found[name].numpy(), tensor.numpy()), name
            assert found[name].shape == tensor.shape and found[name].dtype == tensor.dtype
    assert sorted(path.name for path in tmp_path.iterdir()) == [*"0123", "run"]  # no remains


def test_nothing_is_overwritten_or_left_over(run, tmp_path, monkeypatch):
    def refuse(source, out, error, match):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error, match=match):
            export(source, out)
        assert sorted(tmp_path.rglob("*")) == before

    mine, link, new = tmp_path / "full/mine", tmp_path / "link", tmp_path / "out"
    mine.parent.mkdir()
    mine.write_text("mine")
    link.symlink_to("nowhere")
    for out in (mine.parent, mine, link):
        refuse(run, out, FileExistsError, r"exists already: name a new or an empty folder\.")
    assert mine.read_text() == "mine"
    refuse(tmp_path, new, FileNotFoundError, "expected a checkpoint, or a run folder")
    refuse(run, new / "out", FileNotFoundError, "There is no folder")
    weights = run / "checkpoints/step_00000001/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refuse(run / "checkpoints/best", new, ValueError, "damaged: model.safetensors")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flow, "save", fail)
    refuse(run, new, OSError, "No space left")


def test_the_command(run, tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "scripts.export", run, tmp_path / "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    expected = r"Written: .*/out, the weights of .*step_00000002 after 2 steps\.\n"
    assert re.fullmatch(expected, done.stdout)
    with pytest.raises(SystemExit, match=r"error: .*/out exists already: "):
        main([str(run), str(tmp_path / "out")])
