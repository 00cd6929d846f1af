"""Training by `nn.Graph`. What compiles one is in `cases_of_graph`, run in another process."""

import re
import subprocess
import sys
from contextlib import nullcontext

import oneflow as flow
import pytest

from engine.graph import check_possible
from tests.conftest import ROOT

CASES = "tests/engine/cases_of_graph.py"


@pytest.mark.parametrize("marker", ["not full", pytest.param("full", marks=pytest.mark.full)])
def test_cases(marker):
    """Where OneFlow kills the process, as its graphs may (docs/graph.md), the rest is run again."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", CASES, "-m", marker]
    output = ""
    for _ in range(5):
        done = re.findall(r"^(\S+::\S+) [A-Z]+ ", output, re.MULTILINE)
        rest = [*command, *(f"--deselect={case}" for case in done)]
        result = subprocess.run(rest, cwd=ROOT, capture_output=True, text=True)
        output += result.stdout + result.stderr
        if result.returncode >= 0:
            break
    assert result.returncode == 0 and " FAILED " not in output, output[-8000:]


Foreign = type("Foreign", (flow.optim.SGD,), {})
POSSIBLE = {"optimizer": flow.optim.SGD, "clip_grad_norm": None, "amp": False}
POSSIBLE |= {"stochastic": False, "device": "cpu", "ranks": 1}
AMP = {"amp": True, "device": "cuda"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"clip_grad_norm": 1.0}, None),
        (AMP, None),
        ({"amp": True}, "trainer.amp=true: expected false. OneFlow has mixed precision on a GPU"),
        (AMP | {"clip_grad_norm": 1.0}, "trainer.amp=true: expected false. With trainer.clip_grad"),
        ({"optimizer": Foreign}, "expected false. nn.Graph knows .* only, .* and not Foreign"),
        ({"ranks": 2}, "trainer.graph=true: expected false. A graph works in one process"),
    ],
)
def test_what_a_graph_cannot_do_is_refused(changes, sentence):
    values = POSSIBLE | changes
    optimizer = values.pop("optimizer")([flow.nn.Parameter(flow.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match=sentence) if sentence else nullcontext():
        check_possible(optimizer, **values)


def test_a_run_is_refused_before_it_trains(run_training):
    model = "model._target_=tests.helpers.nets.with_dropout"
    with pytest.raises(ValueError, match="dropout would follow no seed"):
        run_training("trainer.graph=true", model)
