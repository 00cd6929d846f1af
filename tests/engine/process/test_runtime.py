"""What is set before OneFlow is imported has its effect; devices; dropout follows the seed."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import oneflow as flow
import pytest

from engine.process import machine, ranks, runtime


def python(code: str, **environment: str) -> tuple[int, str, str]:
    """Run code in a process of its own, from the repository root."""
    clean = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    command, env = [sys.executable, "-c", textwrap.dedent(code)], clean | environment
    result = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    return result.returncode, result.stdout, result.stderr


KERNEL = """
    import engine, os, oneflow
    from engine.process import runtime
    oneflow.ones(2).numpy()
    print(runtime.blas_kernel(), os.environ.get("OPENBLAS_CORETYPE"))
"""


@pytest.mark.skipif(not runtime.has_avx2(), reason="this processor has no AVX2")
@pytest.mark.parametrize(
    ("chosen", "kernel"),
    [({}, "Haswell None"), ({"OPENBLAS_CORETYPE": "Nehalem"}, "Nehalem Nehalem")],
)
def test_avx2_kernel_is_chosen_unless_the_user_chose_and_nothing_else_is_printed(chosen, kernel):
    assert python(KERNEL, **chosen) == (0, f"{kernel}\n", "")


BUSY = """
    import engine, oneflow as flow
    print("ready", flush=True)
    x = flow.ones(64, 64)
    try:
        while True:
            (x @ x).numpy()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_ctrl_c_is_an_interrupt():
    """Without the preparation this is a segmentation fault (exit status -11)."""
    command = [sys.executable, "-c", textwrap.dedent(BUSY)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "interrupted\n"
    assert process.returncode == 0


def test_missing_cudnn_is_one_sentence(tmp_path):
    """A stand-in package that fails as OneFlow does without nvidia-cudnn-cu11."""
    (tmp_path / "oneflow").mkdir()
    message = "libcudnn_cnn_infer.so.8: cannot open shared object file: No such file or directory"
    (tmp_path / "oneflow/__init__.py").write_text(f"raise ImportError({message!r})")
    code, _, error = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import engine")
    assert code == 1 and "Traceback" not in error
    assert f"({message}). OneFlow 0.9.0 needs cuDNN 8.5 beside it" in error


def masks(seed, follow=True, device="cpu"):
    """Return what two dropout modules leave of ones."""
    model = flow.nn.Sequential(flow.nn.Dropout(0.5), flow.nn.Dropout(0.5))
    assert not follow or runtime.follow_seed(model)
    flow.manual_seed(seed)
    ones = flow.ones(64, device=device)
    return [module(ones).cpu().numpy().tolist() for module in model]


def check_masks(device):
    first, second = masks(1, device=device)
    assert first != second  # the modules differ
    assert masks(1, device=device) == [first, second]  # the same seed, the same masks
    assert masks(2, device=device)[0] != first


def test_dropout_follows_the_seed():
    check_masks("cpu")
    assert len({ranks.mask_seed(seed, step) for seed in range(3) for step in range(100)}) == 300
    assert runtime.follow_seed(flow.nn.Linear(2, 2)) is False
    # The reason for `follow_seed`; when this fails, OneFlow has mended it.
    assert masks(1, follow=False) == masks(2, follow=False)


@pytest.mark.skipif(flow.cuda.is_available(), reason="OneFlow sees a GPU here")
@pytest.mark.parametrize(
    ("problem", "sentence", "warns"),
    [
        ("no NVIDIA driver is installed", "no NVIDIA driver is installed", False),
        (machine.architecture_problem(9, 0), "compute capability 9.0", True),
        (None, "the driver finds a GPU and OneFlow does not", True),
    ],
)
def test_a_gpu_that_cannot_be_used(caplog, problem, sentence, warns):
    assert runtime.choose_device("cpu", lambda: problem) == "cpu"
    assert runtime.choose_device("auto", lambda: problem) == "cpu"
    assert (sentence in caplog.text) == warns
    with pytest.raises(ValueError, match=f"device=cuda cannot be used: .*{sentence}"):
        runtime.choose_device("cuda", lambda: problem)


def test_each_rank_has_its_gpu():
    found = [runtime.choose_gpu(*given) for given in ((None, 4), (0, 2), (1, 2), (3, 4))]
    assert found == ["cuda", "cuda:0", "cuda:1", "cuda:3"]
    with pytest.raises(ValueError, match="machine has 2: give the launcher --nproc_per_node 2"):
        runtime.choose_gpu(2, 2)
