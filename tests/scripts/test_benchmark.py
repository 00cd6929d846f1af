"""The benchmark's arithmetic and command line; nothing here measures time."""

import json
import subprocess
import sys
from pathlib import Path

import oneflow as flow
import pytest

from runs.comparison.report import write_report
from scripts.benchmark import __main__ as benchmark
from scripts.benchmark import growth, measure, memory, peers, startup
from scripts.benchmark.measure import Figure, Options, figure, in_turns, run_child
from tests.conftest import ROOT


def test_a_figure_of_many_values():
    found = figure("blas", "a / b", "ratio", [3.0, 1.0, 2.0, 10.0])
    assert found == Figure("blas", "a / b", "ratio", 2.5, 1.0, 10.0, 4)


@pytest.mark.parametrize(("quick", "turns"), [(False, 7), (True, 1)])
def test_turns(quick, turns):
    assert Options(quick=quick).turns(7) == turns


def test_turns_alternate_who_begins(monkeypatch):
    """Each action moves both clocks by what it takes: 3 seconds and 1, and 6 processor's and 1."""
    order = []
    now = stopped_clocks(monkeypatch)

    def action(name, wall, processor):
        def act():
            order.append(name)
            now["wall"] += wall
            now["processor"] += processor

        return act

    ratios = in_turns(action("a", 3.0, 6.0), action("b", 1.0, 1.0), 3)
    assert ratios == ([3.0] * 3, [6.0] * 3)
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"


def test_a_turn_is_the_sum_of_its_parts(monkeypatch):
    """The first takes 9 seconds twice to warm up, then 1 and 5, then 2 and 4; the other 2."""
    now = stopped_clocks(monkeypatch)
    first = iter([9.0, 9.0, 1.0, 5.0, 2.0, 4.0])

    def tick(seconds):
        now["wall"] += seconds
        now["processor"] += 1.0

    ratios = in_turns(lambda: tick(next(first)), lambda: tick(2.0), 2, parts=2)
    assert ratios == ([1.5, 1.5], [1.0, 1.0])


def stopped_clocks(monkeypatch):
    """Clocks that a test moves."""
    now = {"wall": 0.0, "processor": 0.0}
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(measure.time, "process_time", lambda: now["processor"])
    return now


def test_a_child_begins_as_the_user_would(monkeypatch):
    monkeypatch.setenv("SET_BY_AN_IMPORT", "1")
    code = "import os, json; print('noise'); print(json.dumps(dict(os.environ)))"
    environment = run_child([sys.executable, "-c", code], ADDED="2")
    assert "SET_BY_AN_IMPORT" not in environment and environment["ADDED"] == "2"
    with pytest.raises(RuntimeError, match="ended with 3: why"):
        run_child([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


def test_figures_of_growth():
    rows = [[1.0, 4.0, 20.0], [1.0, 2.0, 8.0], [2.0, 6.0, 24.0]]
    base, four, sixteen = growth.tell("steps", 500, rows)
    assert (base.name, base.median) == ("steps: 500", 1.0)
    assert (four.name, four.median, four.low, four.high) == ("steps: 2,000 / 500", 3.0, 2.0, 4.0)
    assert (sixteen.name, sixteen.median) == ("steps: 8,000 / 2,000", 4.0)


def test_work_is_prepared_before_the_clock_starts():
    counts = []
    rows = growth.grow(lambda count: lambda: counts.append(count), 5, turns=2)
    assert counts == [5, 5, 20, 80, 5, 20, 80]
    assert [len(row) for row in rows] == [3, 3]


def test_runs_that_are_compared_are_runs(tmp_path):
    for place in range(4):
        growth.write_run(tmp_path / str(place), ["none", "step"][place // 2], place % 2, steps=20)
    report = write_report([tmp_path])
    assert report.lost == [] and report.alarms == []
    assert any("step" in sentence for sentence in report.sentences)


@pytest.mark.parametrize(
    ("samples", "slope"),
    [
        ([[1000, 50], [2000, 50], [3000, 50]], 0.0),
        ([[1000, 50], [2000, 70], [3000, 90]], 20.0),
        ([[0, 0], [1000, 0], [2000, 30], [3000, 30]], 12.0),  # by hand: 60,000 / 5,000,000
    ],
)
def test_slope(samples, slope):
    assert memory.fit_slope(samples) == pytest.approx(slope, abs=1e-9)


def test_a_run_is_watched_to_its_end(tmp_path):
    words = ("dataset=synthetic", "dataset.train_size=640", "dataset.val_size=20", "epochs=2")
    run = startup.run_phases("until_the_end", *words, "dataset.test_size=20", "batch_size=8")
    assert [phase[0] for phase in run["phases"]] == [
        "Python",
        "Hydra and this project's own modules",
        "config",
        "OneFlow",
        "checks of the config and the schedule",
        "net, optimizer, schedule",
        "data",
        "loaders, recorder, first batch",
        "first step",
        "training to the first evaluation",
        "evaluation",
        "checkpoint",
        "the rest",
    ]
    assert min(startup.spans(run)) > 0
    assert all(now <= most for _, _, now, most, _ in run["phases"])
    assert [step for step, _ in run["samples"]] == [0, 50, 100, 150]


def test_a_start_ends_with_its_first_step():
    words = ("dataset=synthetic", "dataset.train_size=64", "dataset.val_size=20")
    run = startup.run_phases("until_first_step", *words, "dataset.test_size=20")
    assert run["phases"][-1][0] == "first step" and run["samples"] == []


def test_memory_is_that_of_the_process():
    """In a process of its own: what other tests have freed would be given out again."""
    code = (
        "import numpy as np; from scripts.benchmark import phases; before = phases.memory()[0]; "
        "block = np.ones(2**23); now, most = phases.memory(); print(now - before, most - now)"
    )  # 64 MiB
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown, above = map(int, done.stdout.split())
    assert 60 * 1024 < grown < 80 * 1024
    assert above >= 0


def test_losses_of_another_net_are_noticed():
    losses = iter([4.6, 4.5, 4.4])
    with pytest.raises(RuntimeError, match="net: the losses are"):
        peers.check_losses(lambda: flow.tensor(next(losses)), [4.6, 4.5, 4.3], "net")
    losses = iter([4.6, 4.5, 4.4])
    peers.check_losses(lambda: flow.tensor(next(losses)), [4.6, 4.5, 4.4], "net")


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    return benchmark.read_arguments()


def test_sections_by_name(monkeypatch, capsys):
    names, options, out = run(monkeypatch, "blas", "loader", "--quick")
    assert (names, options, out) == (
        ["blas", "loader"],
        Options(quick=True),
        Path("benchmark.json"),
    )
    assert run(monkeypatch)[0] == [name for name in benchmark.SECTIONS if name != "peers"]
    assert run(monkeypatch, "--torch-python", "p")[0] == list(benchmark.SECTIONS)
    for words, told in (
        (("blass",), "unknown section 'blass': choose from loader, augment"),
        (("peers",), "the section peers needs --torch-python PYTHON"),
    ):
        with pytest.raises(SystemExit) as error:
            run(monkeypatch, *words)
        assert error.value.code == 2 and told in capsys.readouterr().err


def test_table_and_file(monkeypatch, capsys, tmp_path):
    figures = [figure("blas", "a / b", "ratio", [1.0, 2.0]), figure("blas", "a", "s", [0.12345])]
    monkeypatch.setattr(benchmark, "measure", lambda name, options: figures)
    monkeypatch.setattr(sys, "argv", ["benchmark", "blas", "--out", f"{tmp_path}/out.json"])
    benchmark.main()
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| a / b | 1.5 | 1 - 2 | 2 |",
        "| a | 0.1235 s | 0.1235 - 0.1235 | 1 |",
    ]
    report = json.loads((tmp_path / "out.json").read_text())
    assert [found["median"] for found in report["figures"]] == [1.5, 0.12345]
    assert "cores" in report["hardware"]


def test_every_section_has_its_module():
    folder = Path(benchmark.__file__).parent
    helpers = {"__init__", "__main__", "measure", "phases", "peers_torch"}
    assert {path.stem for path in folder.glob("*.py")} - helpers == set(benchmark.SECTIONS)


@pytest.mark.full
def test_a_whole_section_runs(tmp_path):
    command = [sys.executable, "-m", "scripts.benchmark", "growth", "recorder", "--quick"]
    subprocess.run([*command, "--out", f"{tmp_path}/out.json"], check=True, timeout=600)
    figures = json.loads((tmp_path / "out.json").read_text())["figures"]
    assert {found["section"] for found in figures} == {"growth", "recorder"}
