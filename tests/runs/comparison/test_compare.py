"""The report on made-up run folders: what is found, what is said, what is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runs.comparison.runs import clean, find_runs
from runs.comparison.settings import arrange
from runs.comparison.tables import choose_reference
from runs.comparison.write import tell, write_report
from scripts.compare import main
from tests.helpers.studies import read_all, write_run, write_study

ROOT = Path(__file__).parents[3]


def labels(folder):
    return {part.title: [s.label for s in part.schedules] for part in arrange(read_all(folder))}


def test_a_study_becomes_a_report(tmp_path):
    write_study(tmp_path, schedules=3, seeds=5)
    report = write_report([tmp_path])
    said = "\n".join(report.sentences)
    assert "cosine_annealing is better than none (+0.8" in said and "n = 5)" in said
    assert report.rates == "Learning rates as previewed: 300 of 300 steps."
    assert (report.lost, report.alarms) == ([], [])
    html = (tmp_path / "report.html").read_text()
    text = (tmp_path / "report.md").read_text()
    for sentence in report.sentences:
        assert sentence in html
        assert sentence in text.replace("\\_", "_")
    assert html.count("<svg") == 2 + 3  # results, differences, a panel for each schedule
    assert "step 20: " in html and "<title>none, seed 0: 36" in html  # tooltips
    assert not re.search(r"<script|<img|<link|https?://(?!www\.w3\.org)", html)
    assert all(path.is_file() for path in report.files)
    assert set(re.findall(r"\]\(([^)]*\.png)\)", text)) == {"report-curves.png"}
    table = pd.read_csv(tmp_path / "results.csv")
    assert len(table) == 15 and table.counts.all()
    row = table[(table.schedule == "step") & (table.seed == 2)].iloc[0]
    summary = json.loads((tmp_path / "7_step_seed2/summary.json").read_text())
    assert row.test_top1 == summary["test_top1"] and row.lr_mismatches == 0


def test_runs_are_found_at_any_depth_once_and_not_inside_a_run(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("a/2_x", "a/10_x", "b/c/d")]
    write_run(runs[0] / "inside")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert find_runs([tmp_path, tmp_path / "b", runs[2]]) == [path.resolve() for path in runs]
    assert find_runs([runs[1]]) == [runs[1].resolve()]
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        find_runs([tmp_path / "missing"])
    with pytest.raises(FileNotFoundError, match="no run folder"):
        find_runs([runs[0] / "inside/.hydra"])


@pytest.mark.parametrize(
    ("varied", "expected"),
    [
        ([{"seed": 0}, {"seed": 1}], {"": ["step"]}),
        ([{"device": "cpu"}, {"seed": 1, "dataset__root": "elsewhere"}], {"": ["step"]}),
        ([{"peak_lr": {"step": 0.1}}, {"seed": 1, "dry_run": False}], {"": ["step"]}),
        ([{"fork": "outputs/RUN"}, {"seed": 1}], {"": ["step"]}),
        # A key that an older run does not have yet is null.
        ([{"dataset__augment__cutout": None}, {"seed": 1}], {"": ["step"]}),
        # ... or has the value of what the older run did.
        (
            [{"lr": 0.5}, {"lr": 0.1}, {"scheduler": "none", "lr": 0.1}],
            {
                "": [
                    "none (optimizer.lr=0.1)",
                    "step (optimizer.lr=0.1)",
                    "step (optimizer.lr=0.5)",
                ]
            },
        ),
        (
            [{"scheduler__gamma": 0.2}, {"scheduler__gamma": 0.1}],
            {"": ["step (gamma=0.1)", "step (gamma=0.2)"]},
        ),
        # Another budget is another question, unless it is the only one.
        (
            [{"epochs": e, "scheduler": s} for e in (10, 9) for s in ("step", "none")],
            {"epochs=9": ["none", "step"], "epochs=10": ["none", "step"]},
        ),
        ([{"epochs": 10}, {"epochs": 9}], {"": ["step (epochs=9)", "step (epochs=10)"]}),
        (
            [{"model___target_": m, "scheduler": s} for m in ("a.A", "b.B") for s in "xy"],
            {"model._target_=a.A": ["x", "y"], "model._target_=b.B": ["x", "y"]},
        ),
    ],
)
def test_schedules_are_runs_that_differ_in_their_seed_alone(tmp_path, varied, expected):
    for place, settings in enumerate(varied):
        write_run(tmp_path / str(place), **settings)
    assert labels(tmp_path) == expected


def test_a_schedule_with_its_own_peak_rate_keeps_its_short_name(tmp_path):
    write_run(tmp_path / "a", "step", lr=0.1)
    write_run(tmp_path / "b", "none", lr=0.5)
    assert labels(tmp_path) == {"": ["none", "step"]}
    write_report([tmp_path])
    assert "optimizer.lr=0.5" in (tmp_path / "report.html").read_text()


def test_one_run_each_is_called_that(tmp_path):
    write_study(tmp_path, schedules=3, seeds=1)
    (sentence,) = write_report([tmp_path]).sentences
    assert sentence.startswith("One run each: no statement about luck is possible.")
    html = (tmp_path / "report.html").read_text()
    assert "better than" not in html and "±" not in re.sub(r"(?s)<p.*?</p>|<li.*?</li>", "", html)


def test_rates_that_were_not_as_previewed_are_an_alarm(tmp_path):
    write_run(tmp_path / "a", "none")
    write_run(tmp_path / "b", "step", summary={"lr_check": {"steps": 20, "mismatches": 3}})
    report = write_report([tmp_path])
    assert report.rates == "Learning rates as previewed: 37 of 40 steps."
    (alarm,) = report.alarms
    assert alarm.startswith("b: 3 of 20 applied learning rates differ from the preview")
    html = (tmp_path / "report.html").read_text()
    assert 'class="alarm"' in html and alarm in html
    assert f"ALARM: {alarm}" in tell(report)


HOSTILE = "</title></svg><script>alert(1)</script>|[x](javascript:y)\x1b[31m\u202e=1+1"


def test_names_from_a_run_folder_are_only_text(tmp_path):
    write_run(tmp_path / "a", HOSTILE, 0, summary={"model": HOSTILE, "versions": {HOSTILE: "1"}})
    write_run(tmp_path / "b", "=HYPERLINK(1)", 0)
    report = write_report([tmp_path])
    html = (tmp_path / "report.html").read_text()
    assert (
        "alert(1)" in html
        and "<script" not in html
        and html.count("</title>") == 1 + html.count("<title>") - 1
    )
    text = (tmp_path / "report.md").read_text()
    assert "<script" not in text and "[x](" not in text
    assert "\x1b" not in html + text + "".join(tell(report)) and "\u202e" not in html + text
    assert set(pd.read_csv(tmp_path / "results.csv").scheduler) == {
        clean(HOSTILE),
        "'=HYPERLINK(1)",
    }


@pytest.mark.parametrize(
    ("schedulers", "wanted", "chosen"),
    [
        (("cosine", "none", "step"), None, "none"),
        (("cosine", "step"), None, "step"),
        (("rex", "cosine"), None, "cosine"),
        (("cosine", "none"), "cosine", "cosine"),
    ],
)
def test_the_reference_is_chosen_by_name(tmp_path, schedulers, wanted, chosen):
    for place, scheduler in enumerate(schedulers):
        write_run(tmp_path / str(place), scheduler, test=20.0 + place)
    (condition,) = arrange(read_all(tmp_path))
    assert choose_reference(condition, wanted) == chosen


def test_an_unknown_reference_is_refused(tmp_path):
    write_run(tmp_path / "a", "step", lr=0.1)
    write_run(tmp_path / "b", "step", lr=0.2)
    (condition,) = arrange(read_all(tmp_path))
    assert choose_reference(condition, "step (optimizer.lr=0.2)") == "step (optimizer.lr=0.2)"
    for wanted, why in (
        ("rex", "no schedule with a sound run goes"),
        ("step", "several schedules"),
    ):
        with pytest.raises(ValueError, match=f"--reference {wanted}: {why}.*optimizer.lr=0.1"):
            choose_reference(condition, wanted)


def test_budgets_are_set_side_by_side(tmp_path):
    for epochs in (5, 10):
        for scheduler, test in (("none", 30.0), ("step", 29.0 + epochs / 5)):
            write_run(tmp_path / f"{scheduler}{epochs}", scheduler, test=test, epochs=epochs)
    write_report([tmp_path])
    text = (tmp_path / "report.md").read_text().replace("\\#", "#")
    rows = re.findall(r"^\| (none|step) \| (.*?) \| (.*?) \|", text, re.M)
    assert rows[0] == ("step", "30.00 (#2)", "31.00 (#1)")
    assert rows[1] == ("none", "30.00 (#1)", "30.00 (#2)")


def read_group(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_mean_low_and_high_curves_are_runs_for_tensorboard(tmp_path):
    for seed, last in ((0, 20.0), (1, 30.0), (2, 25.0)):
        write_run(tmp_path / f"runs/{seed}", "step", seed, val={10: 10.0, 20: last})
    other = tmp_path / "groups/notes.txt"
    other.parent.mkdir()
    other.write_text("mine")
    for _ in range(2):  # the second report replaces the points of the first
        write_report([tmp_path / "runs"], out=tmp_path)
        for curve, last in (("mean", 25.0), ("low", 20.0), ("high", 30.0)):
            found = read_group(tmp_path / "groups/step" / curve)
            assert found["val/top1"] == [(10, 10.0), (20, last)]
            assert [found["lr/group0"][k] for k in (0, 1, 2)] == [(0, 0.1), (5, 0.1), (6, 0.02)]
    assert other.read_text() == "mine"
    assert len(find_runs([tmp_path])) == 3  # groups/ are no runs


def test_the_report_follows_the_corners_of_curves_not_their_steps(tmp_path):
    write_study(tmp_path, schedules=6, seeds=1, steps=1000, evaluations=50)
    write_report([tmp_path])
    assert (tmp_path / "report.html").stat().st_size < 400_000


@pytest.mark.full
def test_sixty_runs_of_two_thousand_steps(tmp_path):
    write_study(tmp_path, schedules=15, seeds=4, steps=2000, evaluations=50)
    report = write_report([tmp_path])
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    assert "120,000 of 120,000" in report.rates


def test_the_command_reads_files_only(tmp_path):
    write_study(tmp_path, schedules=2, seeds=2)
    code = (
        "import sys, scripts.compare as c; c.main(); "
        "sys.exit(bool({'oneflow', 'engine', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path, "--accuracies", "10,12.5", "--out", tmp_path / "x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "steps to 12.5 %" in (tmp_path / "x/report.md").read_text()
    assert done.stdout.splitlines()[-1].endswith("x/report.html")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no/folder"], "There is no folder no/folder."),
        (["RUNS", "--reference", "rex"], "no schedule with a sound run goes by that name"),
        (["RUNS", "--best", "lr"], "no complete run has this key"),
    ],
)
def test_a_mistake_ends_with_a_sentence(tmp_path, monkeypatch, words, sentence):
    write_run(tmp_path / "a", "step")
    words = [str(tmp_path) if word == "RUNS" else word for word in words]
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    with pytest.raises(SystemExit, match=f"^error: .*{sentence}"):
        main()
