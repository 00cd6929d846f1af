"""Two ranks, each on a GPU of its own. Not run so far: no machine had two usable GPUs."""

import pytest

from engine.process.runtime import cuda_problem, flow
from tests.helpers.continuing import evidence
from tests.helpers.launching import launch
from tests.runs.test_ranks import RUN, check_close

GPUS = 0 if cuda_problem() else flow.cuda.device_count()
pytestmark = pytest.mark.skipif(GPUS < 2, reason=f"two ranks need two GPUs; usable here: {GPUS}")


def test_two_gpus_train_what_one_gpu_trains(tmp_path, train_here):
    folder = tmp_path / "two"
    ended = launch("train.py", *RUN, "device=cuda", f"hydra.run.dir={folder}", seconds=120)
    assert ended.code == 0, ended.error
    check_close(evidence(train_here(*RUN, "device=cuda")), evidence(folder))


def test_a_rank_that_is_killed_ends_the_other(tmp_path):
    words = ("-m", "tests.helpers.ranked", "1", "5", "SIGKILL", *RUN, "device=cuda")
    assert launch(*words, f"hydra.run.dir={tmp_path / 'run'}", seconds=60).code != 0
