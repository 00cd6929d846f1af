"""Files: whole or as before, one holder of a lock, folders that can be written."""

import os
import subprocess
import sys

import pytest

from common.files import is_writable, lock, replacing, write_text
from tests.conftest import ROOT


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")
    with replacing(path, durable=True) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        former = os.umask(mask)
        write_text(tmp_path / "a", "x")
        assert os.umask(former) == mask
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_a_link_is_replaced_and_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept")
    (tmp_path / "link").symlink_to(elsewhere)
    write_text(tmp_path / "link", "new")
    assert (elsewhere.read_text(), (tmp_path / "link").read_text()) == ("kept", "new")
    assert not (tmp_path / "link").is_symlink()


HOLD = """
import sys, time
from pathlib import Path
from common.files import lock
lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder_and_ends_with_its_process(tmp_path):
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            lock(path)
        other.kill()
    os.close(lock(path, wait=True))


def test_a_lock_is_never_made_through_a_link(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        lock(tmp_path / ".lock")
    assert not (tmp_path / "elsewhere").exists()


def test_what_can_be_written(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    (tmp_path / "file").touch()
    places = {"": True, "new": True, "new/deeper": True, "closed": False, "closed/new": False}
    places |= {"file": False, "file/new": False}
    assert {place: is_writable(tmp_path / place) for place in places} == places
