"""State comes back from strict JSON as it was."""

import json
import math

import pytest

from engine.state import decode, encode

TRICKY = {
    "inf": math.inf,
    "minus": -math.inf,
    "int keys": {0: "a", 17: "b", "step": 5},
    "tuple": (0.9, 0.999),
    "dollar": {"$float": "inf"},
    "nested": [{"deep": [None, True, (1, [2.5])]}],
    "empty": [{}, [], ()],
    "tiny": 5e-324,
    "third": 1 / 3,
}


def test_what_json_lacks_comes_back_as_it_was():
    text = json.dumps(encode(TRICKY, {}, "state"), allow_nan=False)
    found = decode(json.loads(text), {})
    assert found == TRICKY
    assert type(found["tuple"]) is tuple
    assert math.isnan(decode(json.loads(json.dumps(encode(math.nan, {}, "x"))), {}))


def test_what_cannot_be_saved_is_named():
    with pytest.raises(TypeError, match=r"state/scheduler/lr_lambda is a function"):
        encode({"scheduler": {"lr_lambda": lambda step: 1}}, {}, "state")
