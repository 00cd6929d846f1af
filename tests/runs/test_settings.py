"""Each run-level key: the values at the edge of what it accepts."""

import copy

import pytest

from runs.settings import check_settings

GOOD = {
    "seed": 0,
    "epochs": 1,
    "batch_size": 1,
    "device": "auto",
    "max_steps": None,
    "lint": "warn",
    "trainer": {
        "clip_grad_norm": None,
        "label_smoothing": 0.0,
        "keep_last": 2,
        "graph": False,
        "amp": False,
    },
    "optimizer": {"lr": 0.1, "weight_decay": 0.0, "decay_norm_and_bias": True},
}


def with_value(key, value):
    config = copy.deepcopy(GOOD)
    *path, last = key.split(".")
    node = config
    for part in path:
        node = node[part]
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**31 - 1),
        ("epochs", 200),
        ("device", "cuda"),
        ("max_steps", 1),
        ("lint", "off"),
        ("lint", False),
        ("trainer.clip_grad_norm", 1),
        ("trainer.label_smoothing", 0.99),
        ("trainer.keep_last", 1),
        ("optimizer.lr", 1e-9),
        ("optimizer.decay_norm_and_bias", False),
    ],
)
def test_accepted(key, value):
    check_settings(with_value(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 2**31),
        ("seed", 0.5),
        ("epochs", 0),
        ("epochs", -1),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", "abc"),
        ("batch_size", 0),
        ("device", "tpu"),
        ("max_steps", 0),
        ("lint", "on"),
        ("lint", True),
        ("trainer.clip_grad_norm", 0),
        ("trainer.label_smoothing", 1),
        ("trainer.label_smoothing", -0.1),
        ("trainer.keep_last", 0),
        ("optimizer.lr", 0),
        ("optimizer.lr", float("nan")),
        ("optimizer.lr", float("inf")),
        ("optimizer.lr", "abc"),
        ("optimizer.lr", None),
        ("optimizer.weight_decay", -1e-4),
        ("optimizer.decay_norm_and_bias", "yes"),
    ],
)
def test_refused_with_key_and_value(key, value):
    with pytest.raises(ValueError) as error:
        check_settings(with_value(key, value))
    assert str(error.value).startswith(f"{key}={value!r}: expected ")
