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
from tests.engine.test_trainer import CLASSES, PIXELS, build_trainer, fit
from tests.helpers.mutations import CHANGES, COUNTS, fuzzing, mutate
from tests.helpers.sandbox import outcome

FILES = (MODEL, OPTIMIZER, STATE)


def new_trainer(folder):
    layers = flow.nn.Linear(PIXELS, 5), flow.nn.BatchNorm1d(5), flow.nn.Linear(5, CLASSES)
    folder.mkdir(exist_ok=True)
    settings = {"stop_step": 4, "about": {"forked_from": None}}
    cosine = lambda optimizer: CosineAnnealingLR(optimizer, 8)  # noqa: E731
    return build_trainer(folder, cosine, flow.nn.Sequential(*layers), **settings)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The files of a checkpoint that training wrote."""
    folder = tmp_path_factory.mktemp("sound")
    fit(new_trainer(folder))
    return {path.name: path.read_bytes() for path in (folder / "checkpoints/last").iterdir()}


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
    seen = Counter()
    place(tmp_path / "right", sound)
    right = read_checkpoint(tmp_path / "right")

    @fuzzing(count)
    @given(st.sampled_from(sorted(sound)), CHANGES)
    def run(name, changes):
        content = mutate(sound[name], changes)
        assume(content != sound[name])
        place(tmp_path / "damaged", sound | {name: content})
        found = outcome(tmp_path, lambda: read_checkpoint(tmp_path / "damaged"))
        seen[name, "error" if found is None else "read"] += 1
        if found is not None:
            assert name == CHECKSUMS  # as with a space more in it
            assert_same(found, right)

    run()
    assert seen.total() == count and all(seen[name, "error"] for name in sound)


class Forger:
    """Resumes from checkpoints that a stranger has changed, with right checksums."""

    def __init__(self, folder, sound):
        self.folder, self.sound = folder, sound
        self.trainer = new_trainer(folder / "run")
        self.seen = Counter()

    def attempt(self, name, content):
        """Put another content into a file; return whether the trainer has taken it."""
        files = self.sound | {name: content}
        table = {name: checksum(files[name]) for name in FILES}
        place(self.folder / "forged", files | {CHECKSUMS: json.dumps(table).encode()})
        found = outcome(self.folder, lambda: read_checkpoint(self.folder / "forged"))
        if found is None:
            self.seen[name, "not read"] += 1
            return False
        assert all(isinstance(array, np.ndarray) for array in found.model.values())
        taken = outcome(self.folder, lambda: restore.resume(self.trainer, found) or True)
        self.seen[name, "taken" if taken else "not taken"] += 1
        return bool(taken)


@pytest.mark.parametrize("count", COUNTS)
def test_forged_checkpoints(tmp_path, sound, count):
    """Reading and resuming what a stranger wrote still execute nothing."""
    forger = Forger(tmp_path, sound)

    @fuzzing(count)
    @given(st.sampled_from(FILES), CHANGES)
    def run(name, changes):
        content = mutate(sound[name], changes)
        assume(content != sound[name])
        forger.attempt(name, content)

    run()
    assert forger.seen.total() == count and all(forger.seen[name, "not read"] for name in FILES)


VALUES = [
    *(None, True, -1, 0, 2**63, 2**70, 1e308, "x", "x" * 2100, [], {}, [[[]]]),
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
    *(np.zeros(()), np.zeros((0,)), np.zeros((0, 7), "float32"), np.zeros((1,) * 20, "bool")),
    np.full((5,), np.nan, "float32"),
    np.zeros((5,), "int8"),
    np.zeros((5, PIXELS), "float64"),
    np.zeros((PIXELS, 5), "float32"),
    np.zeros((CLASSES, 5), "float16"),
]


def places_of(tree, path=()):
    """Yield the paths of everything in a tree of JSON, but for the tree itself."""
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
    """Whole files in which one value or tensor is another: no wrong momentum gets in."""
    forger = Forger(tmp_path, sound)
    trainer = forger.trainer
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
        if forger.attempt(name, content):
            buffers = trainer.optimizer.state_dict()["state"]
            for number, shape in enumerate(shapes):
                momentum = buffers.get(number, {}).get("momentum_buf")
                assert momentum is None or momentum.shape == shape
                assert momentum is None or momentum.dtype == flow.float32

    run()
    assert forger.seen.total() == count
