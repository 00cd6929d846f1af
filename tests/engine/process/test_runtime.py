"""The prologue really took effect, and an unusable GPU is refused with a sentence."""

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time

import oneflow as flow
import pytest

from engine.process import machine, runtime


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a process of its own, from the repository root."""
    clean = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=clean | environment,
        timeout=60,
    )


def test_import_prints_nothing():
    result = python("import engine, oneflow; oneflow.ones(2).numpy()")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.skipif(not runtime.has_avx2(), reason="this processor has no AVX2")
def test_avx2_kernel_is_chosen_and_the_environment_left_alone():
    result = python(
        """
        import os
        from engine.process import machine
        from engine.process import runtime
        print(runtime.blas_kernel(), os.environ.get("OPENBLAS_CORETYPE"))
        """
    )
    assert result.stdout.split() == ["Haswell", "None"]


def test_a_kernel_that_the_user_chose_is_kept():
    code = "from engine import runtime; print(runtime.blas_kernel())"
    assert python(code, OPENBLAS_CORETYPE="Nehalem").stdout.split() == ["Nehalem"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu lm sse4_2 avx avx2 fma", True),
        ("fpu lm sse4_2 avx fma", False),  # no AVX2
        ("fpu lm sse4_2 avx avx2", False),  # no FMA
        ("fpu avx avx2 fma", False),  # not 64 bit
        ("fpu lm sse4_2 avx512f", False),  # a longer name is not the flag
    ],
)
def test_has_avx2_reads_the_flags(tmp_path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: a b\nflags\t\t: {flags}\n")
    assert runtime.has_avx2(cpuinfo) is expected


def test_no_cpuinfo_is_no_avx2(tmp_path):
    assert not runtime.has_avx2(tmp_path / "missing")


def test_ctrl_c_is_an_interrupt():
    """Without the prologue this is a segmentation fault (exit status -11)."""
    code = """
        import engine, oneflow as flow
        print("ready", flush=True)
        x = flow.ones(64, 64)
        try:
            while True:
                (x @ x).numpy()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "interrupted\n"
    assert process.returncode == 0


def masks(seed: int, follow: bool) -> list[list[float]]:
    model = flow.nn.Sequential(flow.nn.Dropout(0.5), flow.nn.Dropout(0.5))
    if follow:
        assert runtime.follow_seed(model) is True
    flow.manual_seed(seed)
    ones = flow.ones(64)
    return [module(ones).numpy().tolist() for module in model]


def test_dropout_follows_the_seed():
    first, second = masks(1, follow=True)
    assert first != second  # the modules differ
    assert masks(1, follow=True) == [first, second]  # the same seed, the same masks
    assert masks(2, follow=True)[0] != first


def test_dropout_of_oneflow_ignores_the_seed():
    """The reason for `follow_seed`; when this fails, OneFlow has mended it."""
    assert masks(1, follow=False) == masks(2, follow=False)


def test_model_without_dropout_is_not_stochastic():
    assert runtime.follow_seed(flow.nn.Linear(2, 2)) is False


class Driver:
    """Stands in for libcuda.so.1."""

    def __init__(self, init=0, count=1, version=12040, capability=(8, 0)):
        self.init, self.count, self.version, self.capability = init, count, version, capability

    def cuInit(self, flags):
        return self.init

    def cuDeviceGetCount(self, count):
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0

    def cuDriverGetVersion(self, version):
        ctypes.cast(version, ctypes.POINTER(ctypes.c_int))[0] = self.version

    def cuDeviceGet(self, device, ordinal):
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        answer = {75: self.capability[0], 76: self.capability[1]}[attribute]
        ctypes.cast(value, ctypes.POINTER(ctypes.c_int))[0] = answer


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (Driver(init=100), "sees no GPU"),
        (Driver(count=0), "sees no GPU"),
        (Driver(version=10020), "supports CUDA 10.2"),
        (Driver(capability=(9, 0)), "compute capability 9.0"),  # H100
        (Driver(capability=(5, 2)), "compute capability 5.2"),  # older than the wheel's oldest
        (Driver(capability=(12, 0)), "CUDA_ARCHITECTURES=120"),
    ],
)
def test_unusable_gpu_is_told(driver, words):
    assert words in runtime.cuda_problem(lambda name: driver)


@pytest.mark.parametrize("capability", [(6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9)])
def test_gpu_with_kernels_is_accepted(capability):
    assert runtime.cuda_problem(lambda name: Driver(capability=capability)) is None


def test_missing_driver_is_told():
    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    assert "no NVIDIA driver" in runtime.cuda_problem(load)


def test_cuda_without_one_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, "cuda_problem", lambda: "no NVIDIA driver is installed")
    with pytest.raises(ValueError, match="device=cuda cannot be used: no NVIDIA driver"):
        runtime.choose_device("cuda")
    assert runtime.choose_device("auto") == runtime.choose_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("ranks", "local_rank", "gpus", "device"),
    [
        (1, 0, 4, "cuda"),
        (2, 0, 2, "cuda:0"),
        (2, 1, 2, "cuda:1"),
        (8, 3, 4, "cuda:3"),
        (4, 2, 2, None),
    ],
)
def test_each_rank_has_a_gpu_of_its_own(monkeypatch, ranks, local_rank, gpus, device):
    monkeypatch.setattr(runtime, "cuda_problem", lambda: None)
    monkeypatch.setattr(runtime.flow.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runtime.flow.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(runtime.flow.env, "get_world_size", lambda: ranks)
    monkeypatch.setattr(runtime.flow.env, "get_local_rank", lambda: local_rank)
    if device:
        assert runtime.choose_device("auto") == device
    else:
        with pytest.raises(ValueError, match="this machine has 2: give the launcher --nproc_per"):
            runtime.choose_device("cuda")


def test_auto_says_why_a_gpu_is_left_alone(monkeypatch, caplog):
    monkeypatch.setattr(runtime, "cuda_problem", lambda: machine.architecture_problem((9, 0)))
    assert runtime.choose_device("auto") == "cpu"
    assert "compute capability 9.0" in caplog.text


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_the_driver_and_oneflow_see_is_taken(monkeypatch, name):
    """By a stand-in: this was not run on one."""
    monkeypatch.setattr(runtime, "cuda_problem", lambda: None)
    monkeypatch.setattr(flow.cuda, "is_available", lambda: True)
    assert runtime.choose_device(name) == "cuda"
    monkeypatch.setattr(flow.cuda, "is_available", lambda: False)
    assert runtime.choose_device("auto") == "cpu"
    with pytest.raises(ValueError, match="the driver finds a GPU and OneFlow does not"):
        runtime.choose_device("cuda")


def test_missing_cudnn_is_one_sentence(tmp_path):
    """A stand-in package that fails as OneFlow does without nvidia-cudnn-cu11."""
    (tmp_path / "oneflow").mkdir()
    message = "libcudnn_cnn_infer.so.8: cannot open shared object file: No such file or directory"
    (tmp_path / "oneflow/__init__.py").write_text(f"raise ImportError({message!r})")
    result = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import engine")
    assert result.returncode == 1
    assert f"({message}). OneFlow 0.9.0 needs cuDNN 8.5 beside it" in result.stderr
    assert "Traceback" not in result.stderr
