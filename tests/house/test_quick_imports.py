"""A run imports what it needs and no more: that is most of the time to its first step."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT, TINY

# Of the sweeps, reports, pages and pictures; oneflow only where something is computed.
FOR_OTHERS = {
    *("altair", "flowvision", "matplotlib", "pandas", "plotext", "pyarrow", "scipy"),
    *("hydra_plugins.hydra_joblib_launcher._core", "joblib", "optuna", "sqlalchemy", "submitit"),
    *("requests", "streamlit", "tensorboard", "torch", "vl_convert"),
}

# train.py with these words, and then the imported modules as the last line of the output
CHILD = """
import runpy, sys
try:
    runpy.run_path("train.py", run_name="__main__")
except SystemExit as error:
    assert not error.code, error.code
print(" ".join(sys.modules))
"""


@pytest.mark.parametrize("words", ["--cfg job", "max_steps=1 scheduler=warmup"])
def test_what_is_imported(tmp_path, words):
    oneflow = not words.startswith("--")
    more = [*TINY, f"hydra.run.dir={tmp_path}/run"] if oneflow else []
    command = [sys.executable, "-c", CHILD, *words.split(), *more]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    modules = set(result.stdout.splitlines()[-1].split())
    assert modules.isdisjoint(FOR_OTHERS), modules.intersection(FOR_OTHERS)
    assert ("oneflow" in modules) == ("engine" in modules) == oneflow
