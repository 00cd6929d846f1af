"""The explorer's second view, of runs."""

import pytest

from tests.helpers.pages import errors, open_page, rows


def test_a_run_folder_shows_what_was_planned_applied_and_reached(train_here, monkeypatch):
    from tests.conftest import TINY

    folder = train_here(*TINY, "scheduler=step", folder="run")
    page = open_page(f"page=runs&folder={folder}")
    drawn = {kind: {r["step"]: r["rate"] for r in rows(page) if r["kind"] == kind}
             for kind in ("planned", "applied")}  # fmt: skip
    assert drawn["planned"].keys() == drawn["applied"].keys()
    assert drawn["applied"] == pytest.approx(drawn["planned"], rel=1e-6)
    assert [row["step"] for row in rows(page, 1)] == [10, 20]
    told = [html.proto.body for html in page.get("html")]
    assert any("<b>20</b> of 20 recorded rates as planned" in text for text in told)


def test_a_folder_without_a_run_is_told(tmp_path):
    page = open_page(f"page=runs&folder={tmp_path}")
    assert "holds no run folder" in errors(page)[0]
