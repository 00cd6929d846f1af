"""Skips, with the reason, where OneFlow can use no GPU; where it can, ends with a table.

    make test-gpu

These tests have never run: no machine of this project had a GPU that OneFlow 0.9.0 has kernels for.
Whoever has one is asked to paste the table into an issue, with what failed.
"""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.process.machine import cuda_problem

HERE = Path(__file__).parent
FACTS: dict[str, str] = {}  # measured by the tests
OUTCOMES: dict[str, int] = {}


def pytest_collection_modifyitems(items):
    problem = cuda_problem()
    for item in items:
        if problem and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture
def report():
    """A function that puts a line into the table: report("memory of a job", "1.2 GiB")."""
    return FACTS.__setitem__


def ask_driver(fields: str, what: str = "gpu") -> list[str]:
    """Return the lines of nvidia-smi's answer; none where it cannot be asked."""
    command = ["nvidia-smi", f"--query-{what}={fields}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except OSError:
        return []


def pytest_runtest_logreport(report):
    if Path(report.fspath).is_relative_to("tests/gpu") and (report.when == "call" or report.failed):
        OUTCOMES[report.outcome] = OUTCOMES.get(report.outcome, 0) + 1


def pytest_terminal_summary(terminalreporter):
    if not OUTCOMES:  # all were skipped: the reason is shown already
        return
    rows = {
        "GPU": "; ".join(ask_driver("name,compute_cap,memory.total")) or "nvidia-smi is missing",
        "driver": "; ".join(sorted(set(ask_driver("driver_version")))),
        "wheel": f"oneflow {version('oneflow')}, cuDNN {version('nvidia-cudnn-cu11')}",
        "tests": ", ".join(f"{count} {outcome}" for outcome, count in sorted(OUTCOMES.items())),
    }
    terminalreporter.section("please paste this into an issue")
    terminalreporter.write_line("| what | found |\n| --- | --- |")
    for what, found in (rows | FACTS).items():
        terminalreporter.write_line(f"| {what} | {found} |")
