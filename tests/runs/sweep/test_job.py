"""One job of a sweep: what its folder says is left to do, and the process that does it."""

import json
import os
import shlex
import signal
import sys
import threading
import time

import pytest
from omegaconf import OmegaConf

from runs.overrides import expand_arguments
from runs.sweep import job as sweep_job
from runs.sweep import slots as sweep_places
from runs.sweep.job import find_job, read_record, run_job, spell, train_apart, wait_until_free
from runs.sweep.slots import own_place
from tests.conftest import TINY, compose_config


@pytest.fixture
def sweep(tmp_path):
    """The folder of a sweep that is not stopped."""
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / sweep_job.STOP).write_text("0")
    return tmp_path / "sweep"


@pytest.fixture
def job_of(sweep):
    """A function that composes a job: its config, with Hydra's state set as in a launcher."""

    def compose(*overrides):
        words = TINY if "dataset=cifar100" not in overrides else ()
        return compose_config(*words, *overrides, f"hydra.sweep.dir={sweep}", folder=sweep / "job")

    return compose


def place(folder, config=None, steps=(), status=None):
    """What a job leaves in its folder: its config, checkpoints after these steps, a summary."""
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    for step in steps:
        (folder / f"checkpoints/step_{step:08d}").mkdir(parents=True)
    if config is not None:
        (folder / ".hydra/config.yaml").write_text(config)
    if status:
        (folder / "summary.json").write_text(json.dumps({"status": status, "steps": 20}))


@pytest.mark.parametrize(
    ("steps", "status", "state", "step"),
    [
        ((), None, "new", 0),
        ((), "interrupted", "new", 0),  # by Ctrl-C, while its data was read
        ((), "failed", "new", 0),
        ((10,), None, "cut", 10),  # killed
        ((10, 6), "interrupted", "cut", 10),
        ((10, 20), "failed", "cut", 20),  # while the test set was read: nothing is lost
        ((20,), "completed", "done", 20),
    ],
)
def test_what_is_left_to_do(sweep, job_of, steps, status, state, step):
    config = job_of("scheduler=step")
    place(sweep / "job", OmegaConf.to_yaml(config, resolve=True), steps, status)
    job = find_job(config)
    assert (job.state, job.step) == (state, step)


def test_a_folder_that_does_not_exist_is_a_new_job(job_of):
    assert find_job(job_of()).state == "new"


@pytest.mark.parametrize(
    ("steps", "content", "sentence"),
    [
        ((10,), "epochs: [", "is not the config of a run"),
        ((10,), None, "is not a run folder"),
        ((), "epochs: [", None),  # its process was killed before it began
        ((), "optimizer: {lr: '${peak.${hydra:runtime.choices.scheduler}}'}", None),  # so, too
    ],
)
def test_a_damaged_folder(sweep, job_of, steps, content, sentence):
    place(sweep / "job", content, steps)
    if sentence is None:
        assert find_job(job_of()).state == "new"
    else:
        with pytest.raises((ValueError, OSError), match=sentence):
            find_job(job_of())


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ((), None),
        (("lint=off", "device=auto", "dataset.root=b", "trainer.keep_last=9"), None),
        (("trainer.log_every=7", "trainer.checkpoint_every=3", "dry_run=true"), None),
        (("epochs=3",), "epochs: it has 30, asked for 3"),
        (("max_steps=5",), "max_steps: it has None, asked for 5"),
        (("+model.depth=3",), "model.depth: it has no such key, asked for 3"),
        (("scheduler=rex",), "scheduler._target_: it has oneflow.optim.lr_scheduler.StepLR"),
        (
            ("trainer.keep_last=3", "trainer.graph=true"),
            "trainer.graph: it has False, asked for True",
        ),
    ],
)
def test_a_folder_with_another_config_is_refused(sweep, job_of, now, told):
    real = ("dataset=cifar100", "dataset.root=a", "scheduler=step")
    before = job_of(*real)
    place(sweep / "job", OmegaConf.to_yaml(before, resolve=True), (10,))
    if told is None:
        assert find_job(job_of(*real, *now)).state == "cut"
        return
    with pytest.raises(ValueError, match="holds a run with another config") as caught:
        find_job(job_of(*real, *now))
    assert told in str(caught.value) and "hydra.sweep.dir=FOLDER" in str(caught.value)


def test_how_a_job_begins_and_goes_on(sweep, job_of):
    config = job_of("scheduler=step", "seed=3")
    begun = find_job(config).command
    assert begun == [*TINY, "scheduler=step", "seed=3", f"hydra.run.dir='{sweep}/job'"]
    place(sweep / "job", OmegaConf.to_yaml(config, resolve=True), (10,))
    OmegaConf.save(OmegaConf.create(begun[:-1]), sweep / "job/.hydra/overrides.yaml")
    command = find_job(config).command
    assert command == [
        f"resume='{sweep}/job'",
        "device=cpu",  # may differ this time
        "allow_targets=[data.synthetic.build_synthetic,models.convnet.convnet_tiny,"
        "oneflow.optim.SGD,oneflow.optim.lr_scheduler.StepLR]",
    ]
    whole = expand_arguments(command)
    assert set(begun[:-1]) <= set(whole) and whole.count("device=cpu") == 1


def test_the_command_to_repeat_is_quoted_for_a_shell():
    words = (
        "fork='../a run'",
        "optimizer.lr=${peak.${hydra:runtime.choices.scheduler}}",
        "a=[1,2]",
    )
    assert shlex.split(spell(words))[2:] == list(words)


# A stand-in for train.py: it does what its first word says, and tells where it ran.
STAND_IN = """
import json, os, pathlib, signal, sys, time
told = {"cores": len(os.sched_getaffinity(0)), "threads": os.environ.get("OMP_NUM_THREADS")}
told |= {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "full": os.environ.get("HYDRA_FULL_ERROR")}
pathlib.Path("told.json").write_text(json.dumps(told | {"words": sys.argv[1:]}))
word = sys.argv[1]
if word == "crash=1":
    os.kill(os.getpid(), signal.SIGSEGV)
if word == "wait=1":
    got = []
    signal.signal(signal.SIGINT, lambda *_: got.append(1))
    print("waiting", file=sys.stderr, flush=True)
    while not got:
        time.sleep(0.01)
    time.sleep(0.6)  # in which the sweep looks at its file three times
    sys.exit(130 if len(got) == 1 else 99)
print("told by stderr", file=sys.stderr)
sys.exit(int(word[-1]))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Jobs run a script in place of train.py, in a folder of its own."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(sweep_job, "TRAIN", tmp_path / "stand_in.py")
    monkeypatch.setattr(sweep_places.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return lambda: json.loads((tmp_path / "told.json").read_text())


def job_with(folder, word):
    folder.mkdir(exist_ok=True)
    return sweep_job.Job(folder, (word,), "new", 0, (), ())


@pytest.mark.parametrize(
    ("word", "code", "state"),
    [
        ("code=0", 0, "completed"),
        ("code=1", 1, "failed"),
        ("crash=1", -signal.SIGSEGV, "failed"),
    ],
)
def test_how_a_job_ends(sweep, stand_in, monkeypatch, word, code, state):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as command_line sets it for itself
    assert train_apart(job_with(sweep / "job", word), sweep) == code
    record = read_record(sweep / "job", since=0)
    assert (record["state"], record["code"], record["place"]) == (state, code, None)
    assert stand_in()["full"] is None
    log = (sweep / "job/train.log").read_text()
    assert log == ("" if word == "crash=1" else "told by stderr\n")


def test_a_job_that_runs_is_told_once_to_stop(sweep, stand_in):
    log = sweep / "job/train.log"

    def stop():
        while not (log.exists() and log.read_text()):
            time.sleep(0.01)
        (sweep / sweep_job.STOP).write_text(str(int(signal.SIGINT)))

    thread = threading.Thread(target=stop)
    thread.start()
    assert train_apart(job_with(sweep / "job", "wait=1"), sweep) == 130
    thread.join()
    assert read_record(sweep / "job", since=0)["state"] == "interrupted"


def test_a_record_of_an_earlier_sweep_does_not_count(sweep):
    (sweep / "job").mkdir()
    sweep_job.write_record(sweep / "job", {"state": "failed"})
    written = (sweep / "job" / sweep_job.RECORD).stat().st_mtime
    assert read_record(sweep / "job", since=written) == {"state": "failed"}
    assert read_record(sweep / "job", since=written + 1) == {}


def test_places_are_held_one_by_one(tmp_path, stand_in, monkeypatch):
    monkeypatch.setenv("SWEEP_PLACES", "core0,core1")
    with own_place() as (first, _), own_place() as (second, _), own_place() as (third, lock):
        assert (first, second, third, lock) == ("core0", "core1", None, None)
    with own_place() as (again, _):
        assert again == "core0"


def test_a_job_stays_on_its_core(sweep, stand_in, monkeypatch):
    core = min(os.sched_getaffinity(0))
    monkeypatch.setenv("SWEEP_PLACES", f"core{core}")
    assert train_apart(job_with(sweep / "job", "code=0"), sweep) == 0
    told = stand_in()
    assert (told["cores"], told["threads"], told["gpu"]) == (1, "1", None)
    monkeypatch.setenv("SWEEP_PLACES", "gpu7")
    assert train_apart(job_with(sweep / "job", "code=0"), sweep) == 0
    assert stand_in()["gpu"] == "7"


def test_a_folder_in_which_somebody_trains(sweep):
    from runs.folder import FolderLock

    with FolderLock(sweep), pytest.raises(ValueError, match="Another process is training in"):
        wait_until_free(sweep, sweep, seconds=0)
    wait_until_free(sweep, sweep, seconds=0)


def test_a_job_trains_and_returns_the_objective(sweep, job_of, stand_in, monkeypatch):
    config = job_of("epochs=1")
    (sweep / "job").mkdir()  # as Hydra does
    assert run_job(config) is None  # the stand-in cannot make a number of dataset=synthetic
    assert read_record(sweep / "job", since=0)["state"] == "failed"
    place(sweep / "job", OmegaConf.to_yaml(config, resolve=True), (20,))
    summary = {"status": "completed", "steps": 20, "val_top1_last": 12.5}
    (sweep / "job/summary.json").write_text(json.dumps(summary))
    monkeypatch.setattr(sys, "executable", "/nowhere")  # nothing is started any more
    assert run_job(config) == 12.5
