"""Several processes that train one model: equal to one process, and none outlives another.

Every process here is started by OneFlow's own launcher, and the whole group is killed in the end.
"""

import json
import socket

import numpy as np
import pytest

from engine.process import ranks, runtime
from runs.ranks import rank_arguments
from tests.helpers.continuing import check_equal, evidence, read_summary
from tests.helpers.launching import launch
from tests.helpers.several import CASES, gradients, masks

ALLOW = "allow_targets=[tests.helpers.nets]"
# 22 steps in 2 epochs; the last batch of an epoch has one image, and so has that of an evaluation
RUN = (
    *("dataset=synthetic", "dataset.train_size=81", "dataset.val_size=51", "dataset.test_size=49"),
    *("model._target_=tests.helpers.nets.without_norms", "model.num_classes=100", ALLOW),
    *("scheduler=cosine_annealing", "trainer.decay_norm_and_bias=false", "epochs=2"),
    *("batch_size=8", "device=cpu", "trainer.eval_every=4", "trainer.log_every=3"),
    *("trainer.checkpoint_every=3", "trainer.clip_grad_norm=1"),
)


FAULTY = ("-m", "tests.helpers.faulty", "1")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two ranks that nothing stopped, and what they printed."""
    folder = tmp_path_factory.mktemp("two") / "run"
    return folder, launch("train.py", *RUN, f"hydra.run.dir={folder}")


def close(first, second):
    """Check that two series of tags and values, or two lines, agree but for rounding."""
    assert first.keys() == second.keys()
    for key in first:
        assert np.allclose(first[key], second[key], rtol=1e-5, atol=1e-6), key


def check_close(first, second):
    """Check that everything that two runs left agrees, the real numbers but for rounding."""
    assert first["tensors"].keys() == second["tensors"].keys()
    for name, (dtype, shape, content) in first["tensors"].items():
        other = np.frombuffer(second["tensors"][name][2], dtype)
        assert np.abs(np.frombuffer(content, dtype) - other).max() < 1e-6, name
        assert second["tensors"][name][1] == shape
    close(first["curves"], second["curves"])
    for line, other in zip(first["lines"], second["lines"], strict=True):
        close(line, other)
    assert (first["best"], first["speed"]) == (second["best"], second["speed"])


def test_two_ranks_train_what_one_process_trains(two, whole):
    folder, ended = two
    assert ended.returncode == 0, ended.stderr
    found, expected = evidence(folder), evidence(whole(*RUN))
    check_close(expected, found)
    for key in ("status", "steps", "test_top1", "val_top1_best", "best_step", "lr_check"):
        assert found["summary"][key] == expected["summary"][key], key
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert (folder / ".hydra/hydra.yaml").exists()
    for text in (ended.stdout, (folder / "train.log").read_text()):
        assert text.count("learning rates as previewed: 22 of 22 steps") == 1
        assert text.count("epoch   2.00  step     22") == 2  # validation and test


def test_a_rank_that_is_killed_ends_all_and_one_process_goes_on(tmp_path, train_here, whole):
    folder = tmp_path / "run"
    killed = launch(*FAULTY, "5", "SIGKILL", *RUN, f"hydra.run.dir={folder}")
    assert killed.returncode != 0
    assert "error: another process of this run has ended" in killed.stderr
    last = json.loads((folder / "checkpoints/last/state.json").read_text())
    assert last["step"] == 4
    check_close(evidence(whole(*RUN)), evidence(train_here(f"resume={folder}", ALLOW)))


@pytest.mark.full
def test_a_launcher_that_is_stopped_and_leads_no_group_saves_the_run(two, tmp_path):
    folder = tmp_path / "run"
    asked = launch(*FAULTY, "14", "parent", *RUN, f"hydra.run.dir={folder}", leads=False)
    assert asked.returncode != 0
    summary = read_summary(folder)
    assert summary["status"] == "interrupted" and 14 <= summary["steps"] < 22
    assert asked.stdout.count(f"Interrupted after step {summary['steps']}") == 1
    done = launch("train.py", f"resume={folder}", ALLOW)
    assert done.returncode == 0, done.stderr
    check_equal(evidence(two[0]), evidence(folder))


@pytest.mark.full
@pytest.mark.parametrize(
    ("command", "printed", "never"),
    [
        ((*FAULTY, "5", "fail", *RUN), "rank 1: Traceback (most recent call last):", "rank 0"),
        (("train.py", *RUN, "optimizer.lr=-1"), "error: optimizer.lr=-1: expected a num", "rank 1"),
    ],
)
def test_what_fails_is_printed_once(tmp_path, command, printed, never):
    ended = launch(*command, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.returncode == 1
    assert ended.stderr.count(printed) == 1 and never not in ended.stderr


def test_what_two_ranks_exchange(tmp_path):
    """Gradients of parts of every size, masks, statistics of norms, devices and signals."""
    ended = launch("-m", "tests.helpers.several", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    for name, arguments in CASES.items():
        assert first[name] == second[name], name
        whole = gradients(*arguments)
        assert np.allclose(first[name]["gradient"], whole["gradient"], rtol=0, atol=1e-7), name
        assert first[name]["loss"] == pytest.approx(whole["loss"], rel=1e-6)
        assert first[name]["hits"] == whole["hits"] == arguments[0]
    assert first["masks"] == masks(3, 4) != second["masks"]
    assert first["statistics"][0] > 0 == second["statistics"][0]
    assert first["statistics"][1] == second["statistics"][1] == first["statistics"][0]
    assert first["refusal"] is None and "device=auto: expected device=cpu" in second["refusal"]
    assert first["stop"] == second["stop"] == [7, 143]


@pytest.mark.parametrize(
    ("count", "parts"), [(8, [2, 2, 2, 2]), (10, [3, 2, 3, 2]), (2, [1, 0, 1, 0])]
)
def test_parts_of_a_batch(count, parts):
    bounds = [ranks.bounds(count, rank, 4) for rank in range(4)]
    assert [stop - start for start, stop in bounds] == parts
    assert [0, *(stop for _, stop in bounds)] == [*(start for start, _ in bounds), count]


@pytest.mark.parametrize(
    ("arguments", "trains", "error", "sentence"),
    [
        (["-m", "seed=0,1"], True, ValueError, "-m makes a sweep, whose jobs are one process each"),
        (["seed=0"], False, ValueError, "this program is one process: start it without the launch"),
        (["--help"], True, SystemExit, "^0$"),  # rank 0 prints it alone
        (["--cfg=job"], True, SystemExit, "^0$"),
    ],
)
def test_what_only_one_process_does(monkeypatch, arguments, trains, error, sentence):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(error, match=sentence):
        rank_arguments(arguments, trains)


def test_rank_0_takes_no_port_that_is_in_use(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        values = ("127.0.0.1", port, 2, 0, 0)
        for name, value in zip(runtime.LAUNCHER_VARIABLES, values, strict=True):
            monkeypatch.setenv(name, str(value))
        with pytest.raises(SystemExit, match=f"port {port} of 127.0.0.1 is in use"):
            runtime.prepare_rank()
    with pytest.raises(SystemExit, match=f"rank 0 did not open port {port} of 127.0.0.1"):
        runtime.wait_for(("127.0.0.1", port), patience=0)
