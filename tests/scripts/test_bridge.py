"""A page's schedule, as a line to train it, as YAML and as an address, and back."""

import pytest

from scripts.bridge import Setup, names, read_command, read_yaml, shipped, write_command, write_yaml


@pytest.mark.parametrize("name", names())
def test_every_shipped_schedule_goes_there_and_back(name):
    setup = Setup(name, shipped(name))
    assert write_command(setup) == f"python train.py scheduler={name}"
    assert read_command(write_command(setup)) == setup
    assert read_yaml(write_yaml(setup)) == setup.node
