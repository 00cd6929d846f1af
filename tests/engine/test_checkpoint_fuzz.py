"""Damaged and hostile checkpoints: each is read right, or refused in one sentence."""

import json
import shutil
from collections import Counter
from functools import partial

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
    cosine = lambda optimizer: CosineAnnealingLR(optimizer, 8)  # noqa: E731
    return build_trainer(folder, cosine, flow.nn.Sequential(*layers), stop_step=4)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The files of a checkpoint that training wrote."""
    folder = tmp_path_factory.mktemp("sound")
    fit(new_trainer(folder))
    return {path.name: path.read_bytes() for path in (folder / "checkpoints/last").iterdir()}


def read(folder, files):
    """Read a checkpoint of these files, watched; None where it is refused."""
    shutil.rmtree(folder / "files", ignore_errors=True)
    (folder / "files").mkdir()
    for name, content in files.items():
        (folder / "files" / name).write_bytes(content)
    return outcome(folder, lambda: read_checkpoint(folder / "files"))


VALUES = [
    *(None, True, -1, 0, 2**63, 2**70, 1e308, "x", "x" * 2100, [], {}, [[[]]]),
    *({"$tensor": "nowhere"}, {"$tensor": ["applied"]}, {"$float": "nan"}, {"$float": 7}),
    *({"$pairs": [[[], 1]]}, {"$pairs": [[0, 1], [0, 2]]}, {"$tuple": 5}),
    *({"$eval": "open('boom', 'w')"}, {"$float": "inf", "x": 1}, {"__class__": "os"}),
]
ARRAYS = [
    *(np.zeros(()), np.zeros((0,)), np.zeros((0, 7), "float32"), np.zeros((1,) * 20, "bool")),
    *(np.full((5,), np.nan, "float32"), np.zeros((5,), "int8"), np.zeros((5, PIXELS), "float64")),
    *(np.zeros((PIXELS, 5), "float32"), np.zeros((CLASSES, 5), "float16")),
]


def containers(tree):
    """Yield every object and list in a tree of JSON with each of its keys."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from containers(value)


def rewrite(name, content, choices):
    """Return a file in which one value or tensor is another."""
    number, choice = choices
    if name in (STATE, CHECKSUMS):
        tree = json.loads(content)
        places = list(containers(tree))
        container, key = places[number % len(places)]
        container[key] = VALUES[choice % len(VALUES)]
        return json.dumps(tree).encode()
    arrays = load(content)
    arrays[sorted(arrays)[number % len(arrays)]] = ARRAYS[choice % len(ARRAYS)]
    return save(arrays)


@pytest.mark.parametrize("count", COUNTS)
def test_forged_checkpoints(tmp_path, sound, count):
    """What a stranger wrote, with right checksums, executes nothing; no wrong momentum gets in."""
    (tmp_path / "run").mkdir()
    trainer = new_trainer(tmp_path / "run")
    seen = Counter()

    @fuzzing(3 * count)
    @given(st.sampled_from([*FILES, CHECKSUMS]), CHANGES | st.tuples(*[st.integers(0, 10**6)] * 2))
    def run(name, change):
        change_it = mutate if isinstance(change, list) else partial(rewrite, name)
        content = change_it(sound[name], change)
        assume(content != sound[name])
        files = sound | {name: content}
        if name != CHECKSUMS:
            table = {name: checksum(files[name]) for name in FILES}
            files[CHECKSUMS] = json.dumps(table).encode()
        found = read(tmp_path, files)
        seen[name, found is None] += 1
        if found is None or not outcome(tmp_path, lambda: restore.resume(trainer, found) or True):
            return
        seen["resumed"] += 1
        buffers = trainer.optimizer.state_dict()["state"]
        for number, like in enumerate(trainer.model.parameters()):
            found = buffers.get(number, {}).get("momentum_buf", like)
            assert (found.shape, found.dtype) == (like.shape, flow.float32)

    run()
    assert seen["resumed"] and all(seen[name, True] and seen[name, False] for name in FILES)
