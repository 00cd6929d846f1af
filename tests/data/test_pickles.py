"""What the reader of pickles takes, and that nothing hostile gets anywhere."""

import os
import pickle
import struct
import sys

import numpy as np
import pytest

from data.pickles import read_plain_pickle
from tests.data.fakes import dump, emit, emit_array, emit_name


def wrap(instructions: bytes) -> bytes:
    """Return a pickle of {"data": what the instructions leave on the stack}."""
    head = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + emit("data")
    return head + instructions + pickle.SETITEM + pickle.STOP


def call(module: str, name: str, *arguments: object) -> bytes:
    given = pickle.MARK + b"".join(map(emit, arguments)) + pickle.TUPLE
    return emit_name(module, name) + given + pickle.REDUCE


def test_official_layout_is_read():
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    batch = read_plain_pickle(dump({"data": pixels, "fine_labels": [7, 99], "batch_label": "x"}))
    assert batch["fine_labels"] == [7, 99]
    assert batch["batch_label"] == b"x"
    assert batch["data"].dtype == np.uint8
    np.testing.assert_array_equal(batch["data"], pixels)


def test_python_3_protocol_2_is_read():
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    batch = read_plain_pickle(pickle.dumps({"data": pixels, "labels": [1, 2]}, protocol=2))
    np.testing.assert_array_equal(batch["data"], pixels)
    assert batch["labels"] == [1, 2]


class Bomb:
    """Its pickle, read by the ordinary reader, makes the folder `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bomb_does_not_go_off(tmp_path, protocol):
    bomb = pickle.dumps({"data": Bomb(tmp_path / "boom")}, protocol)
    with pytest.raises(ValueError, match="not a plain CIFAR pickle"):
        read_plain_pickle(bomb)
    assert not (tmp_path / "boom").exists()
    pickle.loads(bomb)  # the bomb is a real one
    assert (tmp_path / "boom").exists()


HOSTILE = {
    "os.system": wrap(call("os", "system", "touch boom")),
    "posix.system": wrap(call("posix", "system", "touch boom")),
    "builtins.eval": wrap(call("builtins", "eval", "open('boom', 'w')")),
    "Python 2's eval": wrap(call("__builtin__", "eval", "open('boom', 'w')")),
    "getattr": wrap(call("builtins", "getattr", "x", "__class__")),
    "dotted name": wrap(call("numpy", "ndarray.tofile", "boom")),
    "dotted module": wrap(call("numpy.core.multiarray", "_reconstruct.__globals__", "boom")),
    "numpy's loader": wrap(call("numpy", "load", "boom")),
    "codecs.open": wrap(call("_codecs", "lookup", "rot13")),
    "our own module": wrap(call("data.pickles", "_NAMES")),
    "call of a string": wrap(emit("system") + pickle.EMPTY_TUPLE + pickle.REDUCE),
    "call of None": wrap(emit_name("numpy", "ndarray") + pickle.EMPTY_TUPLE + pickle.REDUCE),
    "state of a stand-in": wrap(
        emit_name("numpy.core.multiarray", "_reconstruct") + emit({"x": 1}) + pickle.BUILD
    ),
    "state of a function": wrap(emit_name("_codecs", "encode") + emit({"x": 1}) + pickle.BUILD),
    "object of a class": wrap(
        emit_name("numpy", "dtype") + pickle.EMPTY_TUPLE + pickle.NEWOBJ  # instruction not known
    ),
    "INST": wrap(pickle.MARK + emit("touch boom") + pickle.INST + b"os\nsystem\n"),
    "OBJ": wrap(pickle.MARK + emit_name("os", "system") + emit("touch boom") + pickle.OBJ),
    "STACK_GLOBAL": wrap(emit("os") + emit("system") + pickle.STACK_GLOBAL),
    "extension code": wrap(pickle.EXT1 + b"\x01"),
    "persistent id": wrap(emit("x") + pickle.BINPERSID),
    "encode elsewhere": wrap(
        emit_name("_codecs", "encode")
        + pickle.BINUNICODE
        + struct.pack("<I", 1)
        + b"x"
        + emit("rot13")
        + pickle.TUPLE2
        + pickle.REDUCE
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_called(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported = set(sys.modules)
    with pytest.raises(ValueError, match="not a plain CIFAR pickle") as caught:
        read_plain_pickle(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())
    assert set(sys.modules) == imported


def test_no_module_is_imported():
    with pytest.raises(ValueError, match=r"it asks for this\.s"):
        read_plain_pickle(wrap(call("this", "s")))  # importing `this` prints the Zen of Python
    assert "this" not in sys.modules


LAUGHS = emit([1]) + b"".join(  # a list of the last one twice, forty times over
    pickle.BINPUT + bytes([i]) + pickle.POP + pickle.EMPTY_LIST + pickle.MARK
    + (pickle.BINGET + bytes([i])) * 2 + pickle.APPENDS
    for i in range(40)
)  # fmt: skip
DEEP_KEY = emit(1) + pickle.TUPLE1 * 300_000
DAMAGED = {
    "objects": wrap(emit_array((1,), b"O8", b"\0" * 8)),
    "floats": wrap(emit_array((1,), b"f8", b"\0" * 8)),
    "other length": wrap(emit_array((2, 3072), b"u1", b"\0" * 3072)),
    "negative counts": wrap(emit_array((-1, -4), b"u1", b"1234")),
    "counts without end": wrap(emit_array((2**31 - 1,) * 4, b"u1", b"1234")),
    "many counts": wrap(emit_array((1,) * 50, b"u1", b"1")),
    "a count that is no number": wrap(emit_array((b"1",), b"u1", b"1")),
    "type is a bomb of lists": wrap(
        emit_name("numpy", "dtype") + LAUGHS + pickle.TUPLE1 + pickle.REDUCE
    ),
    "key is a deep tuple": pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + DEEP_KEY + emit(1)
    + pickle.SETITEM + pickle.STOP,
    "a string without end": wrap(pickle.BINSTRING + struct.pack("<i", 2**31 - 1) + b"x"),
    "a string of negative length": wrap(pickle.BINSTRING + struct.pack("<i", -5) + b"x"),
    "unknown memo": wrap(pickle.BINGET + b"\x07"),
    "empty": b"",
    "cut short": dump({"labels": [1, 2, 3]})[:-3],
    "no dict": dump([1]),
    "text": b"hello, world",
    "no mark": pickle.PROTO + b"\x02" + pickle.APPENDS + pickle.STOP,
    "empty stack": pickle.PROTO + b"\x02" + pickle.STOP,
}  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_is_one_sentence(content):
    with pytest.raises(ValueError, match="not a plain CIFAR pickle") as caught:
        read_plain_pickle(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_memory_is_not_taken_at_a_file_s_word():
    # LONG_BINPUT 0x7fffffff: the C reader would allocate a table of 32 GB for it.
    batch = wrap(emit(5) + pickle.LONG_BINPUT + struct.pack("<I", 2**31 - 1))
    assert read_plain_pickle(batch) == {"data": 5}


def test_random_damage_never_escapes():
    whole = dump({"data": np.zeros((2, 8), np.uint8), "labels": [1, 2]})
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(3000):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[place] = rng.integers(256)
        try:
            read_plain_pickle(bytes(content))
        except ValueError:
            errors += 1
    assert errors > 1000
