"""The benchmark's arithmetic and command line; nothing here measures time."""

import json
import subprocess
import sys

import oneflow as flow
import pytest

from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import peers
from scripts.benchmark.measure import in_turns, run_child
from tests.conftest import ROOT


def test_turns_alternate_which_action_begins():
    """The first takes 3 s and the second 1 s; the first turn is left out."""
    clock, order = [0.0], []

    def action(name, times):
        def act():
            clock[0] += next(times)
            order.append(name)

        return act

    first, second = action("a", iter([99, 3, 3, 4])), action("b", iter([1, 1, 1, 2]))
    assert in_turns(first, second, 3, lambda: clock[0], lambda: 2 * clock[0]) == [[3, 3, 2]] * 2
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"


def test_a_child_has_the_users_environment(monkeypatch):
    monkeypatch.setenv("SET_BY_AN_IMPORT", "1")
    code = "import os, json; print('noise'); print(json.dumps(dict(os.environ)))"
    environment = run_child([sys.executable, "-c", code], ADDED="2")
    assert "SET_BY_AN_IMPORT" not in environment and environment["ADDED"] == "2"
    with pytest.raises(RuntimeError, match="ended with 3: why"):
        run_child([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


def test_losses_of_another_model_are_noticed():
    def check(*expected):
        losses = iter([4.6, 4.5, 4.4])
        peers.check_losses(lambda: flow.tensor(next(losses)), [4.6, *expected], "net")

    check(4.5, 4.4001)
    with pytest.raises(RuntimeError, match="net: the losses are"):
        check(4.5, 4.3)


def test_command_line(capsys):
    every, read = list(benchmark.SECTIONS), benchmark.read_arguments
    assert read(["graph", "loader", "--quick"]).sections == ["graph", "loader"]
    assert read([]).sections == [name for name in every if name != "peers"]
    assert read(["--torch-python", "p"]).sections == every
    for name, message in (
        ("graphs", "unknown section 'graphs'"),
        ("peers", "needs --torch-python"),
    ):
        with pytest.raises(SystemExit, match="2"):
            read([name])
        assert message in capsys.readouterr().err


@pytest.mark.full
def test_all_sections_run(tmp_path):
    names = [name for name in benchmark.SECTIONS if name != "peers"]
    command = [sys.executable, "-m", "scripts.benchmark", *names, "--quick"]
    subprocess.run([*command, "--out", f"{tmp_path}/out.json"], cwd=ROOT, check=True, timeout=600)
    report = json.loads((tmp_path / "out.json").read_text())
    assert "cores" in report["hardware"]
    assert {found["section"] for found in report["figures"]} == set(names)
    assert all(found["low"] > 0 for found in report["figures"])
