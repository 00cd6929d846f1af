"""Training by `nn.Graph`. What compiles one is in `cases_of_graph`, run in another process."""

import re
import subprocess
import sys
from unittest.mock import Mock

import oneflow as flow
import pytest

from engine.graph import check_possible
from tests.conftest import ROOT
from tests.helpers.continuing import check_equal, evidence, finish, start

CASES = "tests/engine/cases_of_graph.py"
TEXT = (ROOT / CASES).read_text()
FULL = re.findall(r"@pytest\.mark\.full\n(?:@.*\n|    .*\n|\)\n)*def (test_\w+)", TEXT)
NAMES = [name for name in re.findall(r"^def (test_\w+)", TEXT, re.MULTILINE) if name not in FULL]


def run_cases(*options: str) -> str:
    """What pytest tells of the cases. Where OneFlow kills the process, it goes on with the rest.

    OneFlow's graphs do that now and then, whoever made them (docs/graph.md). A case that fails is
    not repeated.
    """
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", CASES, *options]
    told = ""
    for _ in range(5):
        done = [
            f"--deselect={case}" for case in re.findall(r"^(\S+::\S+) [A-Z]+ ", told, re.MULTILINE)
        ]
        result = subprocess.run([*command, *done], cwd=ROOT, capture_output=True, text=True)
        told += result.stdout + result.stderr
        if result.returncode >= 0:
            break
    return told


@pytest.fixture(scope="module")
def told() -> str:
    return run_cases()


def outcomes(told: str, name: str) -> set[str]:
    return set(re.findall(rf"^\S+::{name}(?:\[\S*\])? ([A-Z]+) ", told, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_case(told, name):
    assert outcomes(told, name) == {"PASSED"}, told[-8000:]


@pytest.mark.full
@pytest.mark.parametrize("name", FULL)
def test_long_case(name):
    told = run_cases("-m", "full", "-k", name)
    assert outcomes(told, name) == {"PASSED"}, told[-8000:]


SMALL = (
    "dataset=synthetic",
    "dataset.train_size=52",
    "dataset.val_size=20",
    "dataset.test_size=20",
    "epochs=1",
    "batch_size=8",
    "device=cpu",
    "model._target_=tests.helpers.nets.with_norm",
    "allow_targets=[tests.helpers.nets]",
    "optimizer=adamw",
    "scheduler=cosine_annealing",
    "trainer.graph=true",
    "trainer.log_every=1",
)


def test_resumed_in_another_process_bit_for_bit(tmp_path):
    """3 and 4 steps, the last of them with a batch of another size, are 7 steps."""
    folders = [tmp_path / name for name in ("whole", "cut")]
    limits = ((), ("max_steps=3",))
    processes = [
        start(*SMALL, *limit, f"hydra.run.dir={folder}", cwd=ROOT)
        for folder, limit in zip(folders, limits, strict=True)
    ]
    assert [finish(process)[0] for process in processes] == [0, 0]
    again = (f"resume={folders[1]}", "max_steps=null", "allow_targets=[tests.helpers.nets]")
    code, _, error = finish(start(*again, cwd=ROOT))
    assert (code, error) == (0, "")
    whole, cut = map(evidence, folders)
    for key in ("tensors", "state"):
        assert whole[key].keys() == cut[key].keys()
    check_equal({"tensors": whole["tensors"]}, {"tensors": cut["tensors"]})
    for tag in ("train/loss", "lr/group0"):
        assert whole["curves"][tag] == cut["curves"][tag]


def test_resume_stays_with_what_the_run_is(stopped, train_here):
    with pytest.raises(ValueError, match=r"cannot change trainer.graph: the run has False, asked"):
        train_here(f"resume={stopped}", "trainer.graph=true")


def sgd(**settings):
    return flow.optim.SGD([flow.nn.Parameter(flow.zeros(1))], lr=0.1, **settings)


class Own(flow.optim.SGD):
    pass


@pytest.mark.parametrize(
    ("told", "changes"),
    [
        (
            "trainer.amp=true: OneFlow has mixed precision on a GPU only; expected false",
            {"amp": True},
        ),
        (
            "trainer.clip_grad_norm=1.0: with trainer.amp=true .*; expected null",
            {"amp": True, "device": "cuda", "clip_grad_norm": 1.0},
        ),
        ("trainer.graph=true: this model has dropout, .*; expected false", {"stochastic": True}),
        (
            "trainer.graph=true: .* Own is none of them; expected false",
            {"optimizer": Own([flow.nn.Parameter(flow.zeros(1))], lr=0.1)},
        ),
    ],
)
def test_what_a_graph_cannot_do_is_told(told, changes):
    possible = {
        "optimizer": sgd(),
        "clip_grad_norm": None,
        "amp": False,
        "stochastic": False,
        "device": "cpu",
    }
    check_possible(**possible)
    check_possible(**possible | {"clip_grad_norm": 1.0})
    check_possible(**possible | {"amp": True, "device": "cuda"})
    with pytest.raises(ValueError, match=told):
        check_possible(**possible | changes)


def test_one_of_several_processes_has_no_graph(monkeypatch):
    monkeypatch.setattr(flow.env, "get_world_size", Mock(return_value=2))
    with pytest.raises(ValueError, match="works in one process, and this is one of several"):
        check_possible(sgd(), None, False, False, "cpu")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("trainer.amp=true",), "mixed precision on a GPU only"),
        (
            (
                "trainer.graph=true",
                "model._target_=tests.helpers.nets.with_dropout",
                "allow_targets=[tests.helpers.nets]",
            ),
            "this model has dropout",
        ),
    ],
)
def test_a_run_is_refused_before_it_trains(run_training, overrides, told):
    with pytest.raises(ValueError, match=told):
        run_training(*overrides)
