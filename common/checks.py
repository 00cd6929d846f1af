"""Checks of single values, and the sentence that refuses one.

An error has one form: `key=value: expected X.`, with what to type where that helps.
"""

import difflib
import math
from collections.abc import Iterable
from typing import Any


def is_integer(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    """Return whether this is an int from `low` to `high`; a bool is none.

    >>> is_integer(3, 1), is_integer(True), is_integer(3.0), is_integer(0, 1)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: object) -> bool:
    """Return whether this is a finite int or float; a bool is none.

    >>> is_number(0.5), is_number(float("nan")), is_number(True)
    (True, False, False)
    """
    if isinstance(value, float):
        return math.isfinite(value)
    return is_integer(value)


def refusal(key: str, value: object, expected: str) -> ValueError:
    """Return the error for a value that is not accepted.

    >>> refusal("epochs", 0, "an integer of at least 1")
    ValueError('epochs=0: expected an integer of at least 1.')
    """
    return ValueError(f"{key}={show(value)}: expected {expected}.")


def show(value: object) -> str:
    """Return a value as YAML writes it, cut to 200 characters.

    >>> show(None), show(True), show("a b"), show(0.5)
    ('null', 'true', "'a b'", '0.5')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value!r:.200}"


def check_integer(key: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` if it is an integer from `low` to `high` (None: no upper end).

    Raises:
        ValueError: names the key, the value and what is accepted.

    >>> check_integer("dataset.val_size", 0.1, 1, 49_999)
    Traceback (most recent call last):
    ValueError: dataset.val_size=0.1: expected an integer from 1 to 49999.
    """
    if is_integer(value, low, math.inf if high is None else high):
        return int(value)
    accepted = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise refusal(key, value, f"an integer {accepted}")


def suggest(name: object, known: Iterable[object]) -> str:
    """Return " Did you mean X?" for the nearest known name, or nothing.

    >>> suggest("cosin", ["cosine", "step"])
    ' Did you mean cosine?'
    >>> suggest("zzz", ["cosine", "step"])
    ''
    """
    near = difflib.get_close_matches(str(name), [str(entry) for entry in known], n=1)
    return f" Did you mean {near[0]}?" if near else ""
