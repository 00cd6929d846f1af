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


def read_pages(folder):
    """The report's two pages, Markdown without its escapes."""
    html, text = ((folder / name).read_text() for name in ("report.html", "report.md"))
    return html, re.sub(r"\\(\W|_)", r"\1", text)


def test_a_study_becomes_a_report_without_oneflow(tmp_path):
    write_study(tmp_path / "runs", schedules=3, seeds=5)
    code = (
        "import sys, scripts.compare as c; c.main(); "
        "sys.exit(bool({'oneflow', 'engine', 'torch'} & sys.modules.keys()))"
    )
    out = tmp_path / "x"
    words = [tmp_path / "runs", "--accuracies", "10,12.5", "--out", out]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    *sentences, rates, where = done.stdout.splitlines()
    assert len(sentences) == 3
    assert sentences[0].startswith("cosine_annealing is better than none (+0.82 points")
    assert rates == "Learning rates as previewed: 300 of 300 steps."
    assert where.endswith("x/report.html")
    html, text = read_pages(out)
    assert all(sentence in html and sentence in text for sentence in sentences)
    assert html.count("<svg") == 2 + 3  # results, differences, a panel for each schedule
    assert "<title>none, seed 0: 36" in html and "<title>step 20: " in html  # tooltips
    assert not re.search(r"<script|<img|<link|https?://(?!www\.w3\.org)", html)
    assert "| cosine_annealing | 5 | 37.30 ± 0.79 |" in text and "steps to 12.5 %" in text
    assert "](" not in (out / "report.md").read_text()
    table = pd.read_csv(out / "results.csv")
    assert len(table) == 15 and table.counts.all()
    row = table[(table.schedule == "step") & (table.seed == 2)].iloc[0]
    summary = json.loads((tmp_path / "runs/7_step_seed2/summary.json").read_text())
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
    sentence, *lines = write_report([tmp_path]).splitlines()
    alarm = (
        "4_step_seed1: 3 of 20 applied learning rates differ from the preview. "
        "Its results are not those of its schedule."
    )
    assert "n = 2)" in sentence
    assert lines[:-1] == [
        "excluded: 3_step_seed0 (failed): error: The loss is nan.",
        f"ALARM: {alarm}",
        "Learning rates as previewed: 117 of 120 steps.",
    ]
    html, text = read_pages(tmp_path)
    for page in (html, text):
        assert "5 of 6 runs are compared." in page
        assert alarm in page and "The loss is nan." in page
        assert "in the 2 seeds that both have (1, 2)" in page
    assert "1 of 6 runs failed, were stopped or cannot be used" in html and "alert" in html
    table = pd.read_csv(tmp_path / "results.csv")
    assert table.counts.sum() == 5 and len(table) == 6


HOSTILE = "</title></svg><script>alert(1)</script>|[x](javascript:y)\x1b[31m\u202e=1+1"


def test_names_from_a_run_folder_are_only_text(tmp_path):
    write_run(tmp_path / "a", HOSTILE, 0, summary={"model": HOSTILE, "versions": {HOSTILE: "1"}})
    write_run(tmp_path / "b", "=HYPERLINK(1)", 0)
    screen = write_report([tmp_path])
    html, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    assert "alert(1)" in html and "<script" not in html
    assert html.count("</title>") == html.count("<title>")
    assert "<script" not in text and "[x](" not in text
    assert "\x1b" not in html + text + screen and "\u202e" not in html + text
    names = {clean(HOSTILE), "'=HYPERLINK(1)"}  # no formula
    assert set(pd.read_csv(tmp_path / "results.csv").scheduler) == names


def test_budgets_of_one_run_each_are_set_side_by_side(tmp_path):
    for epochs in (5, 10):
        for scheduler, test in (("none", 30.0), ("step", 29.0 + epochs / 5)):
            write_run(tmp_path / f"{scheduler}{epochs}", scheduler, test=test, epochs=epochs)
    sentences = write_report([tmp_path]).splitlines()[:-2]
    html, text = read_pages(tmp_path)
    rows = re.findall(r"^\| (none|step) \| (.*?) \| (.*?) \|", text, re.M)
    assert rows[:2] == [("step", "30.00 (#2)", "31.00 (#1)"), ("none", "30.00 (#1)", "30.00 (#2)")]
    assert sentences == [
        f"epochs={epochs}: One run each: chance cannot be ruled out. "
        f"The highest test top-1 is that of {best}."
        for epochs, best in ((5, "none"), (10, "step"))
    ]
    assert html.count("<svg") == 1 + 2 * (1 + 2)  # the budgets; of each: results and two panels
    assert "better than" not in html and "±" not in re.sub(r"(?s)<p.*?</p>|<li.*?</li>", "", html)


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
