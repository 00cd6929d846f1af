"""Checks of single values: what they accept, and the sentence that refuses."""

import math

import pytest

from common.checks import check_integer, is_integer, is_number, refusal, show, suggest


@pytest.mark.parametrize(
    ("value", "integer", "number"),
    [
        (0, True, True),
        (-3, True, True),
        (True, False, False),
        (1.0, False, True),
        (math.inf, False, False),
        (math.nan, False, False),
        ("1", False, False),
        (None, False, False),
    ],
)
def test_what_counts_as_an_integer_and_as_a_number(value, integer, number):
    assert (is_integer(value), is_number(value)) == (integer, number)


def test_the_ends_of_a_range_are_inside():
    assert [is_integer(value, 1, 5) for value in (0, 1, 5, 6)] == [False, True, True, False]
    assert [check_integer("x", value, 1, 5) for value in (1, 5)] == [1, 5]


@pytest.mark.parametrize(
    ("value", "low", "high", "sentence"),
    [
        (0, 1, None, "epochs=0: expected an integer of at least 1."),
        (7, 0, 6, "epochs=7: expected an integer from 0 to 6."),
        (None, 1, None, "epochs=null: expected an integer of at least 1."),
        (True, 0, None, "epochs=true: expected an integer of at least 0."),
        ("2", 0, None, "epochs='2': expected an integer of at least 0."),
    ],
)
def test_a_refused_integer_is_one_sentence(value, low, high, sentence):
    with pytest.raises(ValueError) as error:
        check_integer("epochs", value, low, high)
    assert str(error.value) == sentence


def test_a_long_value_is_cut():
    assert show("a" * 300) == "'" + "a" * 199
    assert str(refusal("k", "b" * 300, "x")).endswith("b: expected x.")


def test_the_nearest_name_is_suggested():
    hints = [suggest(name, ["lr", "momentum", "nesterov"]) for name in ("momentun", "zzz", 3)]
    assert hints == [" Did you mean momentum?", "", ""]
