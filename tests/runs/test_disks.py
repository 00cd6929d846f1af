"""Full and read-only disks: the run ends with a sentence, and can be continued."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.continuing import SHORT, check_equal, evidence, faulty

SMALL, LARGE = "size=6000000", "size=40000000"  # room for one checkpoint of 3.4 MB, or for many


@pytest.fixture
def disk(tmp_path):
    """A small file system; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


NETS = "allow_targets=[tests.helpers.nets]"
SAVING = (*SHORT, "epochs=2", "trainer.checkpoint_every=5", "trainer.eval_every=100")
LOGGING = (  # 300 steps, of which each 80 fill the buffer of the event file
    *(*SHORT, "dataset.train_size=400", "epochs=6", "dataset.val_size=0"),
    *("trainer.checkpoint_every=150", "model._target_=tests.helpers.nets.without_norms", NETS),
)


@pytest.mark.parametrize(
    ("words", "full_at", "saved", "stopped_at"),
    [
        (SAVING, 100, "step_00000005", [10]),
        (LOGGING, 151, "step_00000150", range(152, 300)),
    ],
)
def test_a_full_disk(disk, train_here, words, full_at, saved, stopped_at):
    """While a checkpoint is saved; and while steps are logged, the next checkpoint being far."""
    code, _, error = faulty(full_at, f"fill:{disk}/filler", *words, f"hydra.run.dir={disk}/run")
    assert code == 1
    assert error.startswith(f"error: The run in {disk}/run stopped after step ")
    assert error.count("\n") == 1 and "No space left" in error and "resume=" in error
    assert int(error.split(" stopped after step ")[1].partition(":")[0]) in stopped_at
    assert [path.name for path in disk.glob("run/checkpoints/step*")] == [saved]
    assert not list(disk.glob("run/checkpoints/unfinished*"))
    (disk / "filler").unlink(missing_ok=True)
    remount(disk, LARGE)
    train_here(f"resume={disk}/run", NETS, folder=f"{disk}/run")
    check_equal(evidence(train_here(*words, folder="whole")), evidence(disk / "run"))


def test_a_read_only_folder(disk, run_here, stopped):
    remount(disk, LARGE)
    shutil.copytree(stopped, disk / "run", symlinks=True)
    remount(disk, "ro")
    with pytest.raises(SystemExit, match=f"^error: {disk}/run.*: Read-only file system.$"):
        run_here(f"resume={disk}/run")
