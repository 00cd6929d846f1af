"""Turn a checkpoint into OneFlow's own format, for use elsewhere.

    python -m scripts.export outputs/RUN weights                     # its newest checkpoint
    python -m scripts.export outputs/RUN/checkpoints/best weights
    python -m scripts.export outputs/RUN weights --average swa       # the mean of the weights

Then `model.load_state_dict(oneflow.load("weights"))`. What is written holds a pickle, and
`oneflow.load` runs whatever a pickle says: load only folders that you trust. Our own checkpoints
need neither OneFlow nor a pickle to be read; the README shows how.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.checkpoint import Checkpoint


def find_checkpoint(path: Path) -> "Checkpoint":
    """The checkpoint in a folder: of a run (its newest sound one) or a checkpoint's own.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    from engine.checkpoint import MODEL, read_checkpoint, read_newest

    if (path / MODEL).exists():
        return read_checkpoint(path)
    checkpoint = read_newest(path / "checkpoints")
    if checkpoint is None:
        raise FileNotFoundError(f"{path} is neither a checkpoint nor a run folder that has one.")
    return checkpoint


def choose_weights(checkpoint: "Checkpoint", average: str | None) -> dict[str, Any]:
    """The weights and buffers of a checkpoint, or of a mean that it holds, as OneFlow's tensors.

    Raises:
        ValueError: it holds no such mean, or one without statistics for batch normalization.
    """
    from engine.process import runtime

    if average is None:
        return {name: runtime.flow.tensor(array) for name, array in checkpoint.model.items()}
    means = checkpoint.state.get("averages", {})
    if not means.get(average, {}).get("count"):
        held = ", ".join(name for name in means if means[name]["count"]) or "none"
        raise ValueError(
            f"--average {average}: {checkpoint.folder} has no such mean of the weights; it has "
            f"{held}."
        )
    mean = means[average]
    if average == "swa" and mean["estimated"] != mean["count"]:
        raise ValueError(
            f"--average swa: {checkpoint.folder} lies between two evaluations, so the batch-norm "
            "statistics of this mean were not estimated: take a checkpoint at an evaluation."
        )
    return mean["tensors"]


def export(source: Path, out: Path, average: str | None = None) -> "Checkpoint":
    """Write the weights and buffers of a checkpoint to the folder `out`, whole or not at all.

    With `average` those of that mean of the weights: `ema` or `swa`.

    Raises:
        FileNotFoundError: there is no such checkpoint, or no folder to put `out` in.
        FileExistsError: `out` exists and is not an empty folder.
        ValueError: the checkpoint is damaged, or has no such mean.
    """
    from engine.process import runtime

    flow = runtime.flow
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise FileExistsError(f"{out} exists already: name a new or an empty folder.")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {out.parent} to put {out.name} in.")
    checkpoint = find_checkpoint(source)
    tensors = choose_weights(checkpoint, average)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        flow.save(tensors, str(fresh / "weights"))  # makes a folder: one file for each tensor
        (fresh / "weights").rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return checkpoint


def main() -> None:
    """Export what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("source", type=Path, metavar="RUN_OR_CHECKPOINT")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write, new or empty")
    parser.add_argument("--average", choices=("ema", "swa"), help="a mean of the weights instead")
    arguments = parser.parse_args()
    try:
        checkpoint = export(arguments.source, arguments.out, arguments.average)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(
        f"Written: {arguments.out}, the weights of {checkpoint.folder} "
        f"after {checkpoint.state['step']} steps."
    )


if __name__ == "__main__":
    main()
