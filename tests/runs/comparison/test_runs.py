"""Which folders are runs, and runs that enter no statistics."""

import json
import re

import pytest

from runs.comparison.runs import find_runs, read_run
from tests.helpers.studies import write_run


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


LOG = """[2024-05-01 10:00:00,000][a][INFO] - epoch 1
[2024-05-01 10:00:00,000][b][ERROR] - error: The loss is nan, the rate 0.5.
"""
CUT_OFF = "no summary.json: it still runs, or was killed; 20 steps are recorded"


@pytest.mark.parametrize(
    ("file", "content", "status", "reason"),
    [
        ("summary.json", {"status": "failed"}, "failed", "failed after 20 steps"),
        ("summary.json", {"status": "interrupted"}, "interrupted", "interrupted after 20 steps"),
        ("summary.json", None, "unfinished", CUT_OFF),
        ("summary.json", {"test_top1": 1e9}, "completed", "no test_top1 between 0 and 100"),
        ("summary.json", {"test_top1": True}, "completed", "no test_top1 between 0 and 100"),
        ("summary.json", "{" * 10_000, "unreadable", "summary.json is damaged"),
        ("metrics.jsonl", '{"step": 3, "val/top1": "good"}\n', "unreadable", "s.jsonl is damaged"),
        ("metrics.jsonl", '{"step": 3, "val/top1": 101}\n', "unreadable", "that is no percentage"),
        ("events*", b"?" * 100, "unreadable", "is damaged: a checksum is wrong"),
        (".hydra/config.yaml", "!!python/name:os.getcwd", "unreadable", "not the config"),
        (".hydra/config.yaml", None, "unreadable", "it has no .hydra/config.yaml"),
        (".hydra/config.yaml", "seed: [1]", "unreadable", r"seed='\[1\]': expected an integer."),
        (".hydra/overrides.yaml", "&a [*a]", "unreadable", "overrides.yaml is not the list of"),
    ],
)  # fmt: skip
def test_a_run_that_does_not_count_has_a_reason(tmp_path, file, content, status, reason):
    folder = write_run(tmp_path / "run")
    (path,) = folder.glob(file)
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    run = read_run(folder)
    assert (run.status, str(tmp_path) in run.problem) == (status, False)
    assert re.search(reason, run.problem)
    (folder / "train.log").write_text(LOG)
    if status in ("failed", "interrupted", "unfinished"):  # its log has a better one
        assert read_run(folder).problem == "error: The loss is nan, the rate 0.5."


@pytest.mark.parametrize(
    ("overrides", "scheduler"),
    [('["+scheduler=rex", "seed=0"]', "rex"), ("[]", "StepLR"), (None, "StepLR")],
)
def test_a_run_without_a_summary_is_named_by_its_command_or_class(tmp_path, overrides, scheduler):
    folder = write_run(tmp_path / "run", "StepLR")
    (folder / "summary.json").unlink()
    (folder / ".hydra/overrides.yaml").unlink()
    if overrides:
        (folder / ".hydra/overrides.yaml").write_text(overrides)
    assert read_run(folder).scheduler == scheduler
