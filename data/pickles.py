"""Read the pickles of the CIFAR archives without trusting them.

A pickle is a program for a small stack machine, and the ordinary one may call any function of any
module. This reader knows only the instructions that the official files use (pickle protocol 2, as
Python 2 wrote it) and the four names below, and none of the four is the real thing: each stands
for an inert object of this file. So a pickle read here can build byte arrays, lists, tuples,
dicts, strings and numbers, and can call nothing else.
"""

import io
import pickle
from typing import Any

import numpy as np

# The largest official file takes 450,000 reads as Python 2 wrote it and 950,000 as Python 3 does.
# Each read may put an object on the stack, and a gzip of 500 kB can hold 500 million.
MAX_READS = 4_000_000
MAX_ENCODED = 2**28  # bytes that the file writes as text; CIFAR's pixels are 154 million

# Python 2's protocol 2 needs no more. Left out on purpose: every instruction that makes an object
# of a class (OBJ, INST, NEWOBJ), persistent ids, extension codes, and the text forms of protocol 0.
_INSTRUCTIONS = (
    pickle.PROTO,
    pickle.STOP,
    pickle.MARK,
    pickle.POP,
    pickle.POP_MARK,
    pickle.NONE,
    pickle.NEWTRUE,
    pickle.NEWFALSE,
    pickle.BININT,
    pickle.BININT1,
    pickle.BININT2,
    pickle.BINSTRING,
    pickle.SHORT_BINSTRING,
    pickle.BINUNICODE,
    pickle.EMPTY_LIST,
    pickle.APPEND,
    pickle.APPENDS,
    pickle.EMPTY_TUPLE,
    pickle.TUPLE1,
    pickle.TUPLE2,
    pickle.TUPLE3,
    pickle.TUPLE,
    pickle.EMPTY_DICT,
    pickle.BINPUT,
    pickle.LONG_BINPUT,
    pickle.BINGET,
    pickle.LONG_BINGET,
    pickle.GLOBAL,
    pickle.REDUCE,
)


class _ByteType:
    """Stands for `numpy.dtype`: the type "unsigned byte" and no other."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        if code not in (b"u1", "u1"):
            # Never repr() what a pickle holds: a list of itself twice, forty deep, has no end.
            named = f"type {code[:20]!r}" if isinstance(code, bytes | str) else "no type"
            raise pickle.UnpicklingError(f"an array of {named}, not of unsigned bytes")

    def set_state(self, _state: Any) -> None:
        """Byte order and alignment: a single byte has neither."""


class _ByteArray:
    """Stands for an array that numpy's `_reconstruct` announced and BUILD fills."""

    def __init__(self, *_arguments: Any) -> None:
        self.array: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """Take (version, shape, type, Fortran order, bytes), numpy's own state of an array."""
        _version, shape, kind, fortran, content = state
        if not isinstance(kind, _ByteType) or fortran or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array that is not plain unsigned bytes in C order")
        if len(shape) > 4 or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise pickle.UnpicklingError("an array whose shape is not up to four counts")
        self.array = np.frombuffer(content, np.uint8).reshape(shape)


class _CountedBytes(io.BytesIO):
    """Bytes that can be read in MAX_READS pieces, and no more."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise pickle.UnpicklingError(f"it has more than {MAX_READS} parts")
        return super().read(size)


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _ByteArray,
    ("numpy", "ndarray"): None,  # only ever an argument of _reconstruct, which ignores it
    ("numpy", "dtype"): _ByteType,
}


# The pickle module's Python implementation, because its table of instructions can be cut down and
# because its memo is a dict: the C one allocates as much memory as the file asks for.
class _PlainUnpickler(pickle._Unpickler):
    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS}  # noqa: RUF012
    encoded = 0

    def find_class(self, module: str, name: str) -> Any:
        """Answer GLOBAL: one of the stand-ins, or an error."""
        if (module, name) == ("_codecs", "encode"):
            return self.encode
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:200])
        return _NAMES[module, name]

    def encode(self, text: Any, encoding: Any) -> bytes:
        """Stand for `_codecs.encode`: how Python 3 writes bytes in protocol 2."""
        if not isinstance(text, str) or encoding not in (b"latin1", "latin1"):
            raise pickle.UnpicklingError("bytes in an encoding other than latin1")
        self.encoded += len(text)  # the same text may be encoded again and again
        if self.encoded > MAX_ENCODED:
            raise pickle.UnpicklingError(f"it has more than {MAX_ENCODED} encoded bytes")
        return text.encode("latin1")

    def load_build(self) -> None:
        """BUILD sets attributes of whatever is on the stack; here only the stand-ins take it."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _ByteArray | _ByteType):
            raise pickle.UnpicklingError("it sets the state of something that is not an array")
        self.stack[-1].set_state(state)

    def set_items(self, items: list[Any]) -> None:
        """Fill the dict on the stack; only string keys, for hashing a deep tuple can crash."""
        target = self.stack[-1]
        if not isinstance(target, dict) or not all(isinstance(k, bytes | str) for k in items[::2]):
            raise pickle.UnpicklingError("a dict with keys that are not strings")
        target.update(zip(items[::2], items[1::2], strict=True))

    def load_setitem(self) -> None:
        """SETITEM: one key and one value."""
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def load_setitems(self) -> None:
        """SETITEMS: all keys and values since the mark."""
        self.set_items(self.pop_mark())

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


def read_plain_pickle(content: bytes) -> dict[str, Any]:
    """Return the dict that a CIFAR pickle holds; its arrays are read-only uint8.

    Args:
        content: the whole pickle, protocol 2.

    Raises:
        ValueError: the pickle asks for anything but arrays of bytes, lists, dicts, strings and
            numbers, or is damaged. Nothing that it names has been imported or called.

    >>> read_plain_pickle(pickle.dumps({"labels": [3, 1]}, protocol=2))
    {'labels': [3, 1]}
    >>> read_plain_pickle(pickle.dumps({"labels": print}, protocol=2))
    Traceback (most recent call last):
    ValueError: not a plain CIFAR pickle: it asks for __builtin__.print
    """
    try:
        # encoding="bytes" leaves Python 2's strings as bytes: the pixels are one of them.
        loaded = _PlainUnpickler(_CountedBytes(content), fix_imports=False, encoding="bytes").load()
    except KeyError as error:
        raise ValueError(f"not a plain CIFAR pickle: instruction {error} is not allowed") from error
    except pickle.UnpicklingError as error:
        raise ValueError(f"not a plain CIFAR pickle: {error}") from error
    except Exception as error:  # hostile bytes fail in any way they like; all mean the same
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"not a plain CIFAR pickle: {reason:.120}") from error
    if not isinstance(loaded, dict):
        raise ValueError("not a plain CIFAR pickle: no dict in it")
    return {_text(key): _plain(value) for key, value in loaded.items()}


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin1")


def _plain(value: Any) -> Any:
    return value.array if isinstance(value, _ByteArray) else value
