"""One job of a sweep: its state, read from its folder, and the process that trains it."""

import json
import os
import shutil
import signal
import sys
import threading
import time

import pytest
from omegaconf import OmegaConf

from runs.overrides import expand_arguments
from runs.sweep import job as sweep_job
from runs.sweep.job import STOP, Job, find_job, read_record, run_job, train_job
from runs.sweep.slots import SLOTS
from tests.conftest import TINY, compose_config


@pytest.fixture
def sweep(tmp_path):
    """The folder of a sweep that is not stopped."""
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / STOP).write_text("0")
    return tmp_path / "sweep"


@pytest.fixture
def job_of(sweep):
    """A function that composes a job: its config, with Hydra's state set as in a launcher."""

    def compose(*overrides):
        words = TINY if "dataset=cifar100" not in overrides else ()
        return compose_config(*words, *overrides, f"hydra.sweep.dir={sweep}", folder=sweep / "job")

    return compose


def leave(folder, config, steps=(), status=None, **summary):
    """Write the files of a job: its config, checkpoints after these steps, a summary."""
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    for step in steps:
        (folder / f"checkpoints/step_{step:08d}").mkdir(parents=True)
    text = config if isinstance(config, str) else OmegaConf.to_yaml(config, resolve=True)
    (folder / ".hydra/config.yaml").write_text(text)
    if status:
        content = {"status": status, "steps": 20} | summary
        (folder / "summary.json").write_text(json.dumps(content))


def test_what_is_left_to_do(sweep, job_of):
    config = job_of("scheduler=step")
    for steps, status, state, step in (
        ((), None, "new", 0),
        ((), "interrupted", "new", 0),  # by Ctrl-C, while its data was read
        ((10,), None, "cut", 10),  # killed
        ((10, 6), "interrupted", "cut", 10),
        ((10, 20), "failed", "cut", 20),  # while the test set was read: nothing is lost
        ((), "completed", "done", 20),
    ):
        leave(sweep / "job", config, steps, status)
        job = find_job(config)
        assert (job.state, job.step) == (state, step)
        shutil.rmtree(sweep / "job")


def test_a_damaged_folder(sweep, job_of):
    leave(sweep / "job", "epochs: [")  # its process was killed before it began
    assert find_job(job_of()).state == "new"
    leave(sweep / "job", "epochs: [", steps=(10,))
    with pytest.raises(ValueError, match="is not the config of a run"):
        find_job(job_of())


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (("lint=off", "device=auto", "dataset.root=b", "trainer.keep_last=9", "dry_run=true"), ()),
        (("+peak_lr.rex=0.1",), ()),  # a table that may grow: its value is compared
        (
            ("max_steps=5", "+model.depth=3", "scheduler=rex"),
            (
                "max_steps: it has None, asked for 5",
                "model.depth: it has no such key, asked for 3",
                "scheduler._target_: it has oneflow.optim.lr_scheduler.StepLR",
            ),
        ),
    ],
)
def test_a_folder_with_another_config_is_refused(sweep, job_of, now, changes):
    real = ("dataset=cifar100", "dataset.root=a", "scheduler=step", "+peak_lr.step=0.1")
    leave(sweep / "job", job_of(*real), (10,))
    if not changes:
        assert find_job(job_of(*real, *now)).state == "cut"
        return
    with pytest.raises(ValueError, match="holds a run with another config") as caught:
        find_job(job_of(*real, *now))
    assert all(text in str(caught.value) for text in (*changes, "hydra.sweep.dir=FOLDER"))


def test_how_a_job_begins_and_continues(sweep, job_of):
    config = job_of("scheduler=step", "seed=3")
    job = find_job(config)
    assert job.words == [*TINY, "scheduler=step", "seed=3"]
    assert job.command == [*job.words, f"hydra.run.dir='{sweep}/job'"]
    leave(sweep / "job", config, (10,))
    OmegaConf.save(OmegaConf.create(job.words), sweep / "job/.hydra/overrides.yaml")
    command = find_job(config).command
    assert command == [
        f"resume='{sweep}/job'",
        "device=cpu",  # may differ this time
        "allow_targets=[data.synthetic.build_synthetic,models.convnet.convnet_tiny,"
        "oneflow.optim.SGD,oneflow.optim.lr_scheduler.StepLR]",
    ]
    whole = expand_arguments(command)
    assert set(job.words) <= set(whole) and whole.count("device=cpu") == 1


# A stand-in for train.py: its first word is what to do; it writes down where it runs.
STAND_IN = """
import json, os, pathlib, signal, sys, time
seen = {"cores": len(os.sched_getaffinity(0)), "threads": os.environ.get("OMP_NUM_THREADS")}
seen |= {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "full": os.environ.get("HYDRA_FULL_ERROR")}
pathlib.Path("seen.json").write_text(json.dumps(seen))
word, got = sys.argv[1], []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: got.append(1))
if word == "crash=1":
    os.kill(os.getpid(), signal.SIGSEGV)
if word == "limit=1":  # Slurm sends it to both when the time limit is near
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getppid(), signal.SIGUSR2)
if word in ("wait=1", "limit=1"):
    print("waiting", file=sys.stderr, flush=True)
    while not got:
        time.sleep(0.01)
    time.sleep(0.6)  # in which the sweep reads its file three times
    pathlib.Path("saved").write_text("")
    sys.exit(130 if len(got) == 1 else 99)
print("a line", file=sys.stderr)
sys.exit(int(word[-1]))
"""


@pytest.fixture
def train(tmp_path, sweep, monkeypatch):
    """A function that runs the stand-in as a job: (exit code, its record, what it has seen)."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(sweep_job, "TRAIN", tmp_path / "stand_in.py")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as command_line sets it for itself
    monkeypatch.chdir(tmp_path)
    (sweep / "job").mkdir()

    def run(word, slot=""):
        monkeypatch.setenv(SLOTS, slot)
        job = Job(sweep / "job", "new", 0, None, [word], [word], OmegaConf.create())
        code = train_job(job, sweep)
        return code, read_record(sweep / "job"), json.loads((tmp_path / "seen.json").read_text())

    return run


@pytest.mark.parametrize(
    ("word", "slot", "code", "state", "seen"),
    [
        ("code=0", "", 0, "completed", {"full": None, "threads": None}),
        ("code=1", "gpu907", 1, "failed", {"gpu": "907", "threads": "1"}),
        ("crash=1", "", -signal.SIGSEGV, "failed", {}),
    ],
)
def test_how_a_job_ends(sweep, train, word, slot, code, state, seen):
    for name, text in (("train.log", "before\n"), ("metrics.jsonl", "of a run without checkpoint")):
        (sweep / "job" / name).write_text(text)
    found, record, environment = train(word, slot)
    assert found == code and environment.items() >= seen.items()
    expected = {"state": state, "code": code, "slot": slot or None, "log_bytes": len("before\n")}
    assert record == expected | {"words": [word], "first_step": 0}
    log = (sweep / "job/train.log").read_text()
    assert log == "before\n" + "a line\n" * (word != "crash=1")
    assert not (sweep / "job/metrics.jsonl").exists()


def test_a_job_that_runs_gets_the_signal_once(sweep, train):
    log = sweep / "job/train.log"

    def stop():
        while not (log.exists() and log.read_text()):
            time.sleep(0.01)
        (sweep / STOP).write_text(str(int(signal.SIGINT)))

    thread = threading.Thread(target=stop)
    thread.start()
    code, record, seen = train("wait=1", f"core{min(os.sched_getaffinity(0))}")
    thread.join()
    assert (code, record["state"]) == (130, "interrupted")
    if record["slot"]:  # no other sweep has this core now
        assert (seen["cores"], seen["threads"]) == (1, "1")


def test_a_job_that_meets_its_time_limit_saves_before_the_process_above_it_ends(train, tmp_path):
    """The process above it ends as submitit does, which has put it into the queue again."""
    former = signal.signal(signal.SIGUSR2, lambda *_: sys.exit(255))
    try:
        with pytest.raises(SystemExit):
            train("limit=1")
    finally:
        signal.signal(signal.SIGUSR2, former)
    assert (tmp_path / "saved").exists()


def test_a_job_trains_and_returns_the_objective(sweep, job_of, train, tmp_path):
    config = job_of("epochs=1")
    assert run_job(config) is None  # the stand-in cannot make a number of dataset=synthetic
    assert read_record(sweep / "job")["state"] == "failed"
    leave(sweep / "job", config, (20,), "completed", val_top1_last=12.5)
    (tmp_path / "seen.json").unlink()
    assert run_job(config) == 12.5
    assert not (tmp_path / "seen.json").exists()  # nothing was started
