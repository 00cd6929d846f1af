"""Ways to damage bytes, drawn by hypothesis: flips, cuts, repeats, hostile numbers and words."""

import struct

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

COUNTS = [pytest.param(60, id="sample"), pytest.param(1000, id="full", marks=pytest.mark.full)]

HOSTILE = [
    b"",
    b"\0" * 16,
    b"\xff" * 16,
    b"\x80\x7f\xff\xff",
    *(struct.pack("<q", n) for n in (-1, 2**31 - 1, 2**31, 2**40, 2**62)),
    b"../../../../tmp/outside",
    b"cos\nsystem\n(S'touch boom'\ntR.",
    b"\x8c\x02os\x8c\x06system\x93\x8c\x0atouch boom\x85R",
    b"!!python/object/apply:os.system ['touch boom']",
    b"&a [*a, *a]",
    b"${oc.env:HOME}${a}",
    b'{"$tensor": "nowhere"}',
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"\xc3\x28",
]

_PLACE = st.floats(0, 1, exclude_max=True)
_CHANGE = st.one_of(
    st.tuples(st.sampled_from(["flip", "set"]), _PLACE, st.integers(0, 255)),
    st.tuples(st.sampled_from(["insert", "overwrite"]), _PLACE, st.sampled_from(HOSTILE)),
    st.tuples(st.sampled_from(["cut", "drop", "repeat"]), _PLACE, st.integers(1, 600)),
)
# Most damage at the front, where headers lie, and one change more often than many.
CHANGES = st.lists(st.tuples(st.booleans(), _CHANGE), min_size=1, max_size=4)


def mutate(content: bytes, changes: list) -> bytes:
    """Apply the changes, one after the other."""
    for near_front, (kind, place, value) in changes:
        size = min(len(content), 1024) if near_front else len(content)
        at = int(place * size)
        head, tail = content[:at], content[at:]
        if kind in ("flip", "set"):
            first = [value if kind == "set" else byte ^ 1 << value % 8 for byte in tail[:1]]
            content = head + bytes(first) + tail[1:]
        elif kind in ("insert", "overwrite"):
            content = head + value + (tail if kind == "insert" else tail[len(value) :])
        else:
            content = head + {"cut": b"", "drop": tail[value:], "repeat": tail[:value] + tail}[kind]
    return content


def fuzzing(count):
    """Return the settings of a test that makes the same `count` examples at every run."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    every = {"derandomize": True, "deadline": None, "database": None}
    return settings(max_examples=count, suppress_health_check=quiet, **every)
