"""Convert a checkpoint to OneFlow's format, for use in other programs.

    python -m scripts.export outputs/RUN weights        # its newest checkpoint
    python -m scripts.export outputs/RUN/checkpoints/best weights
    python -m scripts.export outputs/RUN weights --average swa

Then `model.load_state_dict(oneflow.load("weights"))`. The result holds a
pickle, and `oneflow.load` runs any code in a pickle: load only folders that you
trust. The checkpoints themselves are read without OneFlow and without a pickle;
the README shows how.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from runs.command_line import one_sentence

if TYPE_CHECKING:
    from engine.checkpoint import Checkpoint


def find_checkpoint(path: Path) -> "Checkpoint":
    """Return the checkpoint in a checkpoint's folder, or the newest sound one of a run."""
    from engine.checkpoint import MODEL, read_checkpoint, read_newest

    if (path / MODEL).exists():
        return read_checkpoint(path)
    checkpoint = read_newest(path / "checkpoints")
    if checkpoint is None:
        raise FileNotFoundError(f"{path}: expected a checkpoint, or a run folder that has one.")
    return checkpoint


def choose_weights(checkpoint: "Checkpoint", average: str | None) -> dict[str, Any]:
    """Return a checkpoint's weights and buffers as OneFlow's tensors; `average`: ema or swa's."""
    from engine.process import runtime

    if average is None:
        return {name: runtime.flow.tensor(array) for name, array in checkpoint.model.items()}
    averages = checkpoint.state.get("averages", {})
    known = [name for name, mean in averages.items() if mean["count"]]
    if average not in known:
        expected = f"an average that {checkpoint.folder} has: {', '.join(known) or 'it has none'}"
        raise ValueError(f"--average={average}: expected {expected}.")
    mean = averages[average]
    if average == "swa" and mean["estimated"] != mean["count"]:
        raise ValueError(
            f"--average=swa: {checkpoint.folder} was saved between two evaluations, so this "
            "average has no batch-norm statistics. Take one that was saved at an evaluation."
        )
    return dict(mean["tensors"])


def export(source: Path, out: Path, average: str | None = None) -> "Checkpoint":
    """Write the weights and buffers of a checkpoint to the folder `out`, whole or not at all.

    Raises:
        FileNotFoundError: there is no such checkpoint, or no folder to put `out` in.
        FileExistsError: `out` exists and is not an empty folder.
        ValueError: the checkpoint is damaged, or has no such average.
    """
    from engine.process import runtime

    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise FileExistsError(f"{out} exists already: name a new or an empty folder.")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {out.parent} to put {out.name} in.")
    checkpoint = find_checkpoint(source)
    tensors = choose_weights(checkpoint, average)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        written = Path(folder, "weights")
        runtime.flow.save(tensors, str(written))  # makes a folder: one file for each tensor
        written.rename(out)
    return checkpoint


def main(words: list[str] | None = None) -> None:
    """Export what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="run folder or checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write, new or empty")
    parser.add_argument("--average", choices=("ema", "swa"), help="export averaged weights")
    given = parser.parse_args(words)
    with one_sentence((ValueError, OSError)):
        checkpoint = export(given.source, given.out, given.average)
    step = checkpoint.state["step"]
    print(f"Written: {given.out}, the weights of {checkpoint.folder} after {step} steps.")


if __name__ == "__main__":
    main()
