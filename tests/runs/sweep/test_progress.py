"""How far the jobs are, and how long they will take."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runs.sweep.estimate import estimate_time
from runs.sweep.job import RECORD, Job
from runs.sweep.progress import Screen, View, read_views, total_line


def job_of(step, state="new", folder=Path("x"), depth=1):
    """A job of 100 steps."""
    config = OmegaConf.create({"model": {"depth": depth}, "seed": step})
    return Job(folder, state, step, 100, [], [], config)


@pytest.mark.parametrize(
    ("jobs", "at_once", "sentence"),
    [
        ([job_of(0)] * 4, 2, "About 06:40 with 2 at a time, at 2 s per step as in 4 finished"),
        ([job_of(0)], 8, "About 03:20 with 8 at a time"),  # one cannot be divided
        ([job_of(40), job_of(100, "done")], 1, "About 02:00 with 1 at a time"),
        ([job_of(0)] * 2, None, "About 06:40 in all, divided by as many jobs as"),
        ([job_of(0, depth=9)], 1, "How long that takes is not known"),
        ([job_of(100, "done")], 1, "Nothing is left to do"),
    ],
)
def test_how_long_it_takes(tmp_path, monkeypatch, jobs, at_once, sentence):
    """The median of 32 steps is 2 s; two runs that were hardly more than a start weigh little."""
    monkeypatch.chdir(tmp_path)
    runs = {"sweep/a": (20, 40), "outputs/b": (8, 8), "multirun/c/d": (2, 90), "outputs/e": (2, 70)}
    for number, (place, (steps, seconds)) in enumerate(runs.items()):
        folder = tmp_path / place
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra/config.yaml").write_text(f"model: {{depth: 1}}\nseed: {number}")
        summary = {"status": "completed", "steps": steps, "seconds": seconds}
        (folder / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "outputs/damaged").mkdir()
    (tmp_path / "outputs/damaged/summary.json").write_text("{")
    assert estimate_time(jobs, at_once, Path("sweep")).startswith(sentence)


def test_the_line_of_all_jobs():
    begun = ("completed", 100), ("failed", 50), ("running", 50), ("waiting", 0), ("waiting", 0)
    views = [View(Path("x"), state, step, 100, {"first_step": 0}) for state, step in begun]
    views.insert(0, View(Path("x"), "done", 100, 100))
    # 200 steps in 100 s; the 250 of those that run and wait take 125
    assert total_line(views, 100) == (
        "2 of 6 done (1 before), 1 failed, 1 running, 2 waiting, 02:05 left"
    )
    assert total_line(views[4:], 100) == "0 of 2 done, 0 running, 2 waiting"


LINES = '{"step": 10, "val/top1": 5.0}\n{"step": 20, "val/top1": 7.5}\n{"step": 20, "test/top1": 7}'


@pytest.mark.parametrize(
    ("record", "metrics", "state", "step", "made", "top1"),
    [
        (None, LINES, "waiting", 5, 0, None),  # of an earlier sweep
        ({"state": "running", "first_step": 5}, None, "running", 5, 0, None),
        ({"state": "running", "first_step": 5}, LINES, "running", 20, 15, 7.5),
        ({"state": "running", "first_step": 5}, LINES + '\n{"step": 3', "running", 5, 0, None),
        ({"state": "completed", "first_step": 5}, LINES, "completed", 100, 95, 7.5),
    ],
)
def test_the_state_of_a_job_is_read_from_its_folder(
    tmp_path, record, metrics, state, step, made, top1
):
    folder = tmp_path / "job"
    folder.mkdir()
    if metrics:
        (folder / "metrics.jsonl").write_text(metrics)
    if record:
        (folder / RECORD).write_text(json.dumps(record))
    (view,) = read_views(tmp_path, [job_of(5, "cut", folder)], since=0)
    assert (view.state, view.step, view.made, view.top1) == (state, step, made, top1)


def test_jobs_that_a_search_makes_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / RECORD).write_text(json.dumps({"state": "running", "first_step": 0}))
    (view,) = read_views(tmp_path, [], since=0)
    assert (view.folder.name, view.state, view.total_steps) == ("a", "running", None)
    assert read_views(tmp_path, [], since=2e9) == []


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [
        ("failed", 1, ""),
        ("failed", -11, ", killed by SIGSEGV"),
        ("running", 0, ", its process is gone"),
    ],
)
def test_why_a_job_failed(tmp_path, state, code, reason):
    (tmp_path / "train.log").write_text("before\n" + "".join(f"line {n}\n" for n in range(7)))
    view = View(tmp_path, state, record={"code": code, "log_bytes": 21})
    assert view.reason == reason
    assert view.tail() == [f"line {n}" for n in range(2, 7)]


def test_a_file_gets_each_change_and_a_line_every_minute(capsys):
    screen, before = Screen(), View(Path("b"), "done", 9, 9)
    screen.show([View(Path("a"), "running"), before], 1)
    screen.show([View(Path("a"), "running", 5), before], 2)
    screen.show([View(Path("a"), "completed", 9, 9, top1=12.5), before], 60)
    screen.close()
    assert capsys.readouterr().out.splitlines() == [
        "a: running",
        "b: done before",
        "a: done, val top-1 12.50 %",
        "2 of 2 done (1 before), 0 running, 0 waiting",
    ]
