"""The range test trains along its ramp, stops in time, and leaves only its own folder."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from schedulers import Horizon, trace_lr
from scripts.lr_range_test.__main__ import build_ramp, lr_range_test
from scripts.lr_range_test.losses import LossCurve
from tests.conftest import ROOT, TINY, compose_config

SMALL = tuple(word for word in TINY if not word.startswith("epochs"))
FIXED = ("scheduler=step", "+scheduler.gamma=0.5", "optimizer.lr=0.1", "epochs=3", "resume=x")


@pytest.fixture
def find(tmp_path):
    """A function that runs a range test as the command line would, and returns its report."""

    def run(*overrides):
        folder = tmp_path / "found"
        folder.mkdir(exist_ok=True)
        lr_range_test(compose_config(*SMALL, *overrides, folder=folder, name="lr_range_test"))
        return json.loads((folder / "range_test.json").read_text())

    return run


def ramp(mode, start_lr, end_lr, steps):
    return build_ramp(SimpleNamespace(mode=mode, start_lr=start_lr, end_lr=end_lr, steps=steps))


def test_a_ramp_is_a_scheduler_node_with_the_start_as_base_rate():
    for mode, rates in (
        ("exponential", [1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1]),
        ("linear", [0.0001, 2.00008, 4.00006, 6.00004, 8.00002, 10.0]),
    ):
        (traced,) = trace_lr(ramp(mode, 1e-4, 10.0, 6), [1e-4], Horizon(6, 2))
        assert traced == pytest.approx(rates, rel=1e-12)


def test_the_command_leaves_three_files_in_a_folder_of_its_own_and_tells_what_to_paste(tmp_path):
    command = [sys.executable, "-m", "scripts.lr_range_test", *SMALL]
    command += ["optimizer=adam", "range_test.start_lr=1e-5", f"hydra.run.dir={tmp_path}/runs/new"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    files = sorted(path.name for path in tmp_path.rglob("*"))
    assert files == ["new", *(f"range_test.{kind}" for kind in ("csv", "json", "png")), "runs"]

    found = json.loads((tmp_path / "runs/new/range_test.json").read_text())
    assert found["title"] == "synthetic | convnet_tiny | adam"
    (planned,) = trace_lr(ramp("exponential", 1e-5, 10.0, 200), [1e-5], Horizon(200, 10))
    assert found["rates"] == planned[: len(found["rates"])]
    assert 50 < len(found["rates"]) < 200
    assert "smoothed loss above 1.05 times its lowest" in found["stopped"]
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    for name in ("steepest", "minimum/10", "valley"):
        lr = found["suggestions"][name]
        assert 1e-5 < lr < 1e-1, name  # wide: a made-up task, but not where nothing happens
        assert f"{name:<12}optimizer.lr={lr:.2g}" in lines
    with (tmp_path / "runs/new/range_test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == found["rates"]
    assert [float(row["smoothed"]) for row in rows] == found["smoothed"]


def test_the_losses_are_those_of_a_run_under_the_same_schedule(find, run_training):
    words = ("optimizer=adamw", "seed=3")
    found = find("range_test.steps=20", "range_test.end_lr=1e-4", *words)  # 10 steps to an epoch
    node = ramp("exponential", 1e-6, 1e-4, 20)
    words += (f"scheduler._target_={node['_target_']}", f"+scheduler.gamma={node['gamma']!r}")
    run = run_training(*words, "optimizer.lr=1e-6")
    losses = [loss for _, loss in run.curves["train/loss"]]
    assert len(losses) == 20 and losses == [np.float32(loss) for loss in found["losses"]]
    assert found["suggestions"] == dict.fromkeys(found["suggestions"])
    assert set(found["no_answer"].values()) == {
        "the loss did not fall clearly; try a higher range_test.end_lr"
    }


@pytest.mark.parametrize(
    ("losses", "smoothing", "kept", "stopped"),
    [
        ([4, 4, 3, 2, 3, 4], 0.0, 6, None),  # 4 is not above 2 times 2
        ([4, 4, 3, 2, 3, 4.1, 9], 0.0, 6, "step 5, rate 3: smoothed loss above 2 times its lowest"),
        # Steps 0 and 1 are the first tenth: neither do they stop the test nor are they the lowest.
        ([9, 1, 4, 5, 6, 7, 8], 0.0, 7, None),
        # The average is 4, 4, 4, and (4 * (1 - 0.5^3) + 16 * 0.5) / ... = 10.4 with the 16.
        ([4, 4, 4, 16], 0.5, 4, "step 3, rate 2: smoothed loss above 2 times its lowest"),
        ([4, 4, 4, 10], 0.5, 4, None),
        ([4, 4, np.nan, 4], 0.0, 2, "step 2, rate 1.5: the loss is not finite"),
        ([np.inf, 4], 0.0, 0, "step 0, rate 0.5: the loss is not finite"),
    ],
)
def test_the_guard_stops_a_test_that_diverges(losses, smoothing, kept, stopped):
    curve = LossCurve(SimpleNamespace(smoothing=smoothing, divergence=2.0, steps=20))
    for step, loss in enumerate(losses):
        if not curve.stopped:
            curve.train_step(step, [0.5 * (step + 1)], np.array(loss), None, 1)
    assert curve.losses == losses[:kept]
    assert curve.stopped == (stopped and f"stopped at {stopped}")


def test_a_loss_that_is_not_finite_ends_the_test_before_its_update(find, tmp_path):
    words = ("range_test.start_lr=1e3", "range_test.end_lr=1e30", "range_test.divergence=1e300")
    found = find(*words, "range_test.steps=30")
    assert "the loss is not finite" in found["stopped"]
    assert len(found["losses"]) < 30
    assert np.isfinite(found["losses"]).all()
    assert (tmp_path / "found/range_test.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("range_test.start_lr=0", "a number above 0."),
        ("range_test.start_lr=10", ""),  # the end is not above
        ("range_test.end_lr=x", "a number above start_lr."),
        ("range_test.steps=9", "an integer of at least 10."),
        ("range_test.steps=1ep", "an integer of at least 10."),
        ("range_test.mode=log", "exponential or linear."),
        ("range_test.smoothing=1", "a number of at least 0 and below 1."),
        ("range_test.divergence=1", "a number above 1."),
        ("batch_size=0", "an integer of at least 1."),
        *((word, "range_test.start_lr, end_lr, steps, mode or divergence.") for word in FIXED),
    ],
)
def test_what_cannot_be_a_range_test_is_refused(find, override, expected):
    with pytest.raises(ValueError, match=f"expected {expected}") as error:
        find(override)
    key, value = override.split("=")
    named = ("range_test.end_lr=10.0:", f"{override}:", f"{key}='{value}':")
    assert str(error.value).startswith(named)


def test_a_folder_with_something_in_it_is_refused_and_left_alone(find, tmp_path):
    (tmp_path / "found").mkdir()
    (tmp_path / "found/summary.json").write_text("{}")
    with pytest.raises(ValueError, match=r"found': expected a new or an empty folder."):
        find()
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["summary.json"]
