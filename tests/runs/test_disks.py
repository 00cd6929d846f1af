"""Full and read-only disks: the run ends with a sentence, and can be continued."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.continuing import (
    LONG,
    SHORT,
    check_equal,
    evidence,
    finish,
    read_summary,
    start,
    wait_for,
)


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a file system of so many bytes; needs root."""
    mounted = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_a_full_disk_while_saving(small_disk, train_here):
    """Room for one checkpoint of 3.4 MB and not for two."""
    disk = small_disk(6_000_000)
    settings = (*SHORT, "trainer.checkpoint_every=5", "trainer.eval_every=100")
    code, _, error = finish(start(*settings, f"hydra.run.dir={disk}/run", cwd=disk.parent))
    assert code == 1
    assert error.startswith(f"error: The run in {disk}/run stopped after step 10: No space left")
    assert error.count("\n") == 1 and "resume=" in error
    assert [path.name for path in disk.glob("run/checkpoints/step*")] == ["step_00000005"]
    assert not list(disk.glob("run/checkpoints/unfinished*"))
    remount(disk, "size=40000000")
    train_here(f"resume={disk}/run", folder=f"{disk}/run")
    check_equal(evidence(train_here(*settings, folder="whole")), evidence(disk / "run"))


def room_for(file) -> bool:
    """Write some bytes; False when the disk is full to the last one."""
    with contextlib.suppress(OSError):
        return file.write(b"x" * 4096) > 0
    return False


def test_a_full_disk_while_logging(small_disk, train_here):
    disk = small_disk(6_000_000)
    settings = (*LONG, "trainer.checkpoint_every=20", "trainer.log_every=1", "max_steps=200")
    process = start(*settings, "trainer.keep_last=1", f"hydra.run.dir={disk}/run", cwd=disk.parent)
    wait_for(lambda: (disk / "run/checkpoints/last").exists())
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.2)
    with (disk / "filler").open("wb", buffering=0) as file:
        while room_for(file):
            pass
    os.kill(process.pid, signal.SIGCONT)
    code, _, error = finish(process)
    assert code == 1
    assert error.startswith(f"error: The run in {disk}/run stopped after step ")
    assert error.count("\n") == 1
    (disk / "filler").unlink(missing_ok=True)
    remount(disk, "size=40000000")
    train_here(f"resume={disk}/run", folder=f"{disk}/run")
    whole = train_here(*settings, "trainer.keep_last=1", folder="whole")
    check_equal(evidence(whole), evidence(disk / "run"))


def test_a_read_only_folder(small_disk, train_here, stopped):
    disk = small_disk(20_000_000)
    shutil.copytree(stopped, disk / "run", symlinks=True)
    remount(disk, "ro")
    code, _, error = finish(start(f"resume={disk}/run", cwd=disk.parent))
    assert code == 1 and error.startswith("error: ") and error.count("\n") == 1
    assert "Read-only file system" in error and f"{disk}/run" in error
    remount(disk, "rw")
    assert read_summary(train_here(f"resume={disk}/run", folder=f"{disk}/run"))["steps"] == 40
