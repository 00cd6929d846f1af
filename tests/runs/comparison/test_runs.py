"""What a run folder says of itself, and runs that do not count."""

import json
import re

import pandas as pd
import pytest

from runs.comparison.settings import arrange
from runs.comparison.write import tell, write_report
from tests.helpers.studies import read_all, write_run, write_study


def break_run(folder, kind):
    """Do to a sound run what has to be noticed."""
    summary = folder / "summary.json"
    told = json.loads(summary.read_text())
    log = "[2024-05-01 10:00:00,000][{}][{}] - {}\n"
    if kind == "failed":
        summary.write_text(json.dumps(told | {"status": "failed", "test_top1": None}))
        lines = [("a", "INFO", "epoch 1"), ("b", "ERROR", "error: The loss is nan, the rate 0.5.")]
        (folder / "train.log").write_text("".join(log.format(*line) for line in lines))
    elif kind == "killed":
        summary.unlink()
    elif kind == "stopped":
        summary.write_text(json.dumps(told | {"status": "interrupted"}))
    elif kind == "summary":
        summary.write_text("{" * 10_000)
    elif kind == "percent":
        summary.write_text(json.dumps(told | {"test_top1": 1e9}))
    elif kind == "metrics":
        (folder / "metrics.jsonl").write_text('{"step": 3, "val/top1": "good"}\n')
    elif kind == "events":
        (path,) = folder.glob("events*")
        path.write_bytes(path.read_bytes()[:100] + b"?" + path.read_bytes()[101:])
    elif kind == "config":
        (folder / ".hydra/config.yaml").write_text("!!python/object/apply:os.getcwd []")
    elif kind == "overrides":
        (folder / ".hydra/overrides.yaml").write_text("&a [*a]")
    elif kind == "no config":
        (folder / ".hydra/config.yaml").unlink()
    elif kind == "seed":
        (folder / ".hydra/config.yaml").write_text("seed: [1]")


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("failed", "failed", "error: The loss is nan, the rate 0.5."),
        ("killed", "unfinished", "no summary.json.*20 steps are recorded"),
        ("stopped", "interrupted", "interrupted after 20 steps"),
        ("summary", "unreadable", "summary.json is damaged"),
        ("percent", "completed", "no test_top1 between 0 and 100"),
        ("metrics", "unreadable", "metrics.jsonl is damaged"),
        ("events", "unreadable", "is damaged: a checksum is wrong"),
        ("config", "unreadable", "config.yaml is not the config of a run"),
        ("overrides", "unreadable", "overrides.yaml is damaged"),
        ("no config", "unreadable", "it has no .hydra/config.yaml"),
        ("seed", "unreadable", "expected a whole number"),
    ],
)
def test_a_run_that_does_not_count_is_listed_with_its_reason(tmp_path, kind, status, reason):
    write_study(tmp_path, schedules=2, seeds=3)
    break_run(tmp_path / "3_step_seed0", kind)
    runs = read_all(tmp_path)
    (lost,) = [run for run in runs if run.problem]
    assert (lost.folder.name, lost.status) == ("3_step_seed0", status)
    assert re.search(reason, lost.problem)
    if kind in ("failed", "summary"):  # a whole report takes its time
        report = write_report([tmp_path])
        html = (tmp_path / "report.html").read_text()
        assert "1 of 6 runs failed, were stopped or cannot be used" in html
        assert "in the 2 seeds that both have (1, 2)" in html
        assert any("n = 2)" in sentence for sentence in report.sentences)
        (line,) = [line for line in tell(report) if line.startswith("does not count: 3_step")]
        assert lost.problem in line
        table = pd.read_csv(tmp_path / "results.csv")
        assert table.counts.sum() == 5 and len(table) == 6


def test_the_same_run_twice_counts_once(tmp_path):
    for name in ("1_first", "2_again"):
        write_run(tmp_path / name, seed=3)
    (condition,) = arrange(runs := read_all(tmp_path))
    assert {k: run.folder.name for k, run in condition.schedules[0].runs.items()} == {3: "2_again"}
    assert condition.schedules[0].lost == [runs[0]]
    assert runs[0].problem == "the same configuration and seed as 2_again, which counts"
