"""State comes back from strict JSON as it was."""

import json
import math

import pytest

from engine.state import decode, encode

TRICKY = {
    "numbers": [math.inf, -math.inf, 5e-324, 1 / 3],
    "int keys": {0: "a", 17: "b", "step": 5},
    "tuple": (0.9, 0.999),
    "dollar": {"$float": "inf"},
    "nested": [{"deep": [None, True, (1, [2.5])]}, {}, [], ()],
}


def test_what_json_lacks_comes_back_as_it_was():
    text = json.dumps(encode(TRICKY | {"nan": math.nan}, {}, "state"), allow_nan=False)
    found = decode(json.loads(text), {})
    assert math.isnan(found.pop("nan"))
    assert repr(found) == repr(TRICKY)


def test_what_cannot_be_saved_is_named():
    with pytest.raises(TypeError, match=r"state/scheduler/lr_lambda is a function"):
        encode({"scheduler": {"lr_lambda": lambda step: 1}}, {}, "state")
