"""Damaged and hostile checkpoints: each is read right, or refused in one sentence."""

import json
import shutil
from collections import Counter

import numpy as np
import oneflow as flow
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oneflow.optim.lr_scheduler import CosineAnnealingLR
from safetensors.numpy import load, save

from engine import restore
from engine.checkpoint import CHECKSUMS, MODEL, OPTIMIZER, STATE, checksum, read_checkpoint
from engine.recorder import Recorder
from engine.trainer import Trainer
from tests.data.test_data_fuzz import COUNTS, fuzzing
from tests.helpers.mutations import CHANGES, mutate
from tests.helpers.sandbox import outcome

FILES = (MODEL, OPTIMIZER, STATE)
STEPS = 4


class Batches:
    """A loader of two fixed batches."""

    def __len__(self):
        return 2

    def epoch(self, epoch=0, start_step=0):
        for _ in range(start_step, 2):
            yield flow.ones(4, 6), flow.tensor([0, 1, 2, 0])


def build_trainer(folder):
    flow.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    model = flow.nn.Sequential(flow.nn.Linear(6, 5), flow.nn.BatchNorm1d(5), flow.nn.Linear(5, 3))
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loaders = {name: Batches() for name in ("train", "val", "test")}
    return Trainer(
        model,
        optimizer,
        CosineAnnealingLR(optimizer, 8),
        loaders,
        Recorder(folder, STEPS, 2),
        stop_step=STEPS,
        eval_every=2,
        checkpoint_every=STEPS,
        about={"forked_from": None},
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The files of a checkpoint that training wrote."""
    trainer = build_trainer(tmp_path_factory.mktemp("sound"))
    with trainer.recorder:
        trainer.fit()
    folder = trainer.recorder.folder / "checkpoints" / "last"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def place(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def assert_same(one, other):
    for name, array in other.model.items():
        np.testing.assert_array_equal(one.model[name], array)
    np.testing.assert_array_equal(one.applied, other.applied)
    assert repr(one.state) == repr(other.state)


@pytest.mark.parametrize("count", COUNTS)
def test_damaged_checkpoints(tmp_path, sound, count):
    """Bytes that change on a disk or on the way: every one is noticed."""
    told = Counter()
    place(tmp_path / "right", sound)
    right = read_checkpoint(tmp_path / "right")

    @fuzzing(count)
    @given(st.sampled_from(sorted(sound)), CHANGES)
    def run(name, changes):
        content = mutate(sound[name], changes)
        assume(content != sound[name])
        place(tmp_path / "damaged", sound | {name: content})
        found = outcome(tmp_path, lambda: read_checkpoint(tmp_path / "damaged"))
        told[name, "error" if found is None else "read"] += 1
        if found is not None:
            assert name == CHECKSUMS  # as with a space more in it
            assert_same(found, right)

    run()
    print(f"{sum(told.values())} damaged checkpoints: {dict(sorted(told.items()))}")
    assert sum(told.values()) == count
    assert all(told[name, "error"] for name in sound)


@pytest.mark.parametrize("count", COUNTS)
def test_forged_checkpoints(tmp_path, sound, count):
    """A stranger can make right checksums: then reading and resuming still execute nothing."""
    told = Counter()
    trainer = build_trainer(tmp_path / "run")

    @fuzzing(count)
    @given(st.sampled_from(FILES), CHANGES)
    def run(name, changes):
        content = mutate(sound[name], changes)
        assume(content != sound[name])
        files = sound | {name: content}
        table = {name: checksum(files[name]) for name in FILES}
        place(tmp_path / "forged", files | {CHECKSUMS: json.dumps(table).encode()})
        found = outcome(tmp_path, lambda: read_checkpoint(tmp_path / "forged"))
        if found is None:
            told[name, "not read"] += 1
            return
        assert all(isinstance(array, np.ndarray) for array in found.model.values())
        taken = outcome(tmp_path, lambda: restore.resume(trainer, found) or True)
        told[name, "taken" if taken else "not taken"] += 1

    run()
    print(f"{sum(told.values())} forged checkpoints: {dict(sorted(told.items()))}")
    assert sum(told.values()) == count
    assert all(told[name, "not read"] for name in FILES)


VALUES = [
    None,
    True,
    -1,
    0,
    2**63,
    2**70,
    1e308,
    "x",
    "x" * 2100,
    [],
    {},
    [[[]]],
    {"$tensor": "nowhere"},
    {"$tensor": ["applied"]},
    {"$float": "nan"},
    {"$float": 7},
    {"$pairs": [[[], 1]]},
    {"$pairs": [[0, 1], [0, 2]]},
    {"$tuple": 5},
    {"$eval": "open('boom', 'w')"},
    {"$float": "inf", "x": 1},
    {"__class__": "os"},
]
ARRAYS = [
    np.zeros(()),
    np.zeros((0,)),
    np.zeros((0, 7), "float32"),
    np.full((5,), np.nan, "float32"),
    np.zeros((5,), "int8"),
    np.zeros((5, 6), "float64"),
    np.zeros((6, 5), "float32"),
    np.zeros((1,) * 20, "bool"),
    np.zeros((3, 5), "float16"),
]


def places_of(tree, path=()):
    """The paths of everything in a tree of JSON, but for the tree itself."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places_of(value, (*path, key))


def put(tree, path, value):
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


@pytest.mark.parametrize("count", COUNTS)
def test_rewritten_checkpoints(tmp_path, sound, count):
    """Whole files with right checksums, in which one value or tensor is another."""
    told = Counter()
    trainer = build_trainer(tmp_path / "run")
    shapes = [tuple(parameter.shape) for parameter in trainer.model.parameters()]
    paths = list(places_of(json.loads(sound[STATE])))
    names = {name: sorted(load(sound[name])) for name in (MODEL, OPTIMIZER)}

    @fuzzing(count)
    @given(st.sampled_from(FILES), st.integers(0, 10**6), st.integers(0, 10**6))
    def run(name, number, choice):
        if name == STATE:
            tree = json.loads(sound[STATE])
            put(tree, paths[number % len(paths)], VALUES[choice % len(VALUES)])
            content = json.dumps(tree).encode()
        else:
            arrays = load(sound[name])
            arrays[names[name][number % len(names[name])]] = ARRAYS[choice % len(ARRAYS)]
            content = save(arrays)
        files = sound | {name: content}
        table = {name: checksum(files[name]) for name in FILES}
        place(tmp_path / "forged", files | {CHECKSUMS: json.dumps(table).encode()})
        found = outcome(tmp_path, lambda: read_checkpoint(tmp_path / "forged"))
        if found is None:
            told[name, "not read"] += 1
            return
        taken = outcome(tmp_path, lambda: restore.resume(trainer, found) or True)
        told[name, "taken" if taken else "not taken"] += 1
        if taken:
            buffers = trainer.optimizer.state_dict()["state"]
            for number, shape in enumerate(shapes):
                momentum = buffers.get(number, {}).get("momentum_buf")
                assert momentum is None or momentum.shape == shape
                assert momentum is None or momentum.dtype == flow.float32

    run()
    print(f"{sum(told.values())} rewritten checkpoints: {dict(sorted(told.items()))}")
    assert sum(told.values()) == count
