"""A line as people copy it, and the address that holds a page's curves."""

import pytest

from scripts.explorer.bridge import (
    Setup,
    read_command,
    read_state,
    shipped,
    write_overrides,
    write_state,
)
from scripts.explorer.node import same


@pytest.mark.parametrize(
    "before",
    [
        "python train.py {}",
        "$ python3.10 train.py {}",
        ".venv/bin/python -m scripts.preview {}",
        "  {}\n",
        "make train ARGS='{}'",
        "python train.py \\\n  {}",
    ],
)
def test_lines_are_read_as_people_copy_them(before):
    setup = read_command(before.format("scheduler=step scheduler.gamma=0.5 epochs=90"))
    assert setup == Setup("step", shipped("step") | {"gamma": 0.5}, epochs=90)


@pytest.mark.parametrize(
    ("view", "written"),
    [
        ({"log": True, "x": 1.5, "n": 3}, {"log": "true", "x": "1.5", "n": "3"}),
        ({"lang": "zh", "name": "a b"}, {"lang": "zh", "name": "a b"}),
        ({"n": "3", "log": "true", "q": '"'}, {"n": '"3"', "log": '"true"', "q": '"'}),
    ],
)
def test_the_view_comes_back_with_its_types(view, written):
    assert write_state([], view) == written
    assert same(read_state(written)[1], view)


def test_an_address_names_the_curves_in_order():
    setups = [Setup(name, shipped(name)) for name in ("step", "rex", "lambda")]
    state = write_state(setups, {"log": False})
    assert state == {
        "s0": "scheduler=step",
        "s1": "scheduler=rex",
        "s2": "scheduler=lambda",
        "log": "false",
    }
    assert read_state(state) == (setups, {"log": False})


def test_an_address_that_would_not_arrive_is_not_written():
    long = Setup("multistep", shipped("multistep") | {"milestones": list(range(1, 900))})
    with pytest.raises(ValueError, match="at most 6000 characters"):
        write_state([long, long], {})
    with pytest.raises(ValueError, match="9 schedules"):
        write_state([Setup("step", shipped("step"))] * 9, {})
    assert write_overrides(Setup("step", shipped("step"))) == "scheduler=step"
