"""Reports on made-up run folders: the pages, the screen, the command."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from runs.comparison.report import write_report
from runs.comparison.runs import clean
from scripts.compare import main
from tests.conftest import ROOT
from tests.helpers.studies import write_run, write_study


def test_a_study_becomes_a_report(tmp_path):
    write_study(tmp_path, schedules=3, seeds=5)
    report = write_report([tmp_path])
    assert report.sentences[0].startswith("cosine_annealing is better than none (+0.82 points")
    assert report.rates == "Learning rates as previewed: 300 of 300 steps."
    assert (report.excluded, report.alarms) == ([], [])
    assert str(report).splitlines()[:-1] == [*report.sentences, report.rates]
    assert [path.name for path in report.files] == ["report.html", "report.md", "results.csv"]
    html, text = (path.read_text() for path in report.files[:2])
    for sentence in report.sentences:
        assert sentence in html
        assert sentence in text.replace("\\_", "_")
    assert html.count("<svg") == 2 + 3  # results, differences, a panel for each schedule
    assert "<title>none, seed 0: 36" in html and "<title>step 20: " in html  # tooltips
    assert not re.search(r"<script|<img|<link|https?://(?!www\.w3\.org)", html)
    assert "| cosine\\_annealing | 5 | 37.30 ± 0.79 |" in text
    assert "](" not in text
    table = pd.read_csv(tmp_path / "results.csv")
    assert len(table) == 15 and table.counts.all()
    row = table[(table.schedule == "step") & (table.seed == 2)].iloc[0]
    summary = json.loads((tmp_path / "7_step_seed2/summary.json").read_text())
    assert row.test_top1 == summary["test_top1"] and row.lr_mismatches == 0


def test_excluded_runs_and_other_rates_than_previewed_are_seen_everywhere(tmp_path):
    write_study(tmp_path, schedules=2, seeds=3)
    for name, change in (
        ("3_step_seed0", {"status": "failed", "test_top1": None}),
        ("4_step_seed1", {"lr_check": {"steps": 20, "mismatches": 3}}),
    ):
        path = tmp_path / name / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    log = "[2024-05-01 10:00:00,000][train][ERROR] - error: The loss is nan.\n"
    (tmp_path / "3_step_seed0/train.log").write_text(log)
    report = write_report([tmp_path])
    excluded = "excluded: 3_step_seed0 (failed): error: The loss is nan."
    alarm = (
        "4_step_seed1: 3 of 20 applied learning rates differ from the preview. "
        "Its results are not those of its schedule."
    )
    rates = "Learning rates as previewed: 117 of 120 steps."
    assert str(report).splitlines()[-4:-1] == [excluded, f"ALARM: {alarm}", rates]
    html, text = (path.read_text().replace("\\_", "_") for path in report.files[:2])
    for page in (html, text):
        assert "5 of 6 runs are compared." in page
        assert alarm in page and "The loss is nan." in page
        assert "in the 2 seeds that both have (1, 2)" in page
    assert "1 of 6 runs failed, were stopped or cannot be used" in html and "alert" in html
    assert "n = 2)" in report.sentences[0]
    table = pd.read_csv(tmp_path / "results.csv")
    assert table.counts.sum() == 5 and len(table) == 6


HOSTILE = "</title></svg><script>alert(1)</script>|[x](javascript:y)\x1b[31m\u202e=1+1"


def test_names_from_a_run_folder_are_only_text(tmp_path):
    write_run(tmp_path / "a", HOSTILE, 0, summary={"model": HOSTILE, "versions": {HOSTILE: "1"}})
    write_run(tmp_path / "b", "=HYPERLINK(1)", 0)
    report = write_report([tmp_path])
    html, text = (path.read_text() for path in report.files[:2])
    assert "alert(1)" in html and "<script" not in html
    assert html.count("</title>") == html.count("<title>")
    assert "<script" not in text and "[x](" not in text
    assert "\x1b" not in html + text + str(report) and "\u202e" not in html + text
    names = {clean(HOSTILE), "'=HYPERLINK(1)"}  # no formula
    assert set(pd.read_csv(tmp_path / "results.csv").scheduler) == names


def test_budgets_of_one_run_each_are_set_side_by_side(tmp_path):
    for epochs in (5, 10):
        for scheduler, test in (("none", 30.0), ("step", 29.0 + epochs / 5)):
            write_run(tmp_path / f"{scheduler}{epochs}", scheduler, test=test, epochs=epochs)
    report = write_report([tmp_path])
    html, text = (path.read_text() for path in report.files[:2])
    rows = re.findall(r"^\| (none|step) \| (.*?) \| (.*?) \|", text.replace("\\#", "#"), re.M)
    assert rows[0] == ("step", "30.00 (#2)", "31.00 (#1)")
    assert rows[1] == ("none", "30.00 (#1)", "30.00 (#2)")
    assert report.sentences == [
        f"epochs={epochs}: One run each: chance cannot be ruled out. "
        f"The highest test top-1 is that of {best}."
        for epochs, best in ((5, "none"), (10, "step"))
    ]
    assert "better than" not in html and "±" not in re.sub(r"(?s)<p.*?</p>|<li.*?</li>", "", html)


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
        (["RUNS", "--reference", "rex"], "no schedule with a complete run goes by that name"),
        (["RUNS", "--best", "lr"], "no complete run has this key"),
    ],
)
def test_a_mistake_ends_with_a_sentence(tmp_path, words, sentence):
    write_run(tmp_path / "a", "step")
    with pytest.raises(SystemExit, match=f"^error: .*{sentence}"):
        main([str(tmp_path) if word == "RUNS" else word for word in words])
