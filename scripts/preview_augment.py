"""See what augmentation does to images before a model does.

    python -m scripts.preview_augment dataset=synthetic
    python -m scripts.preview_augment augment.cutout=16 augment.mixup=1

Without an `augment` key on the command line every kind has a row of its own. The images are the
first of the training split, unshuffled, in the batch that the run's loader makes of them.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from common.checks import check_integer, refusal
from runs.command_line import run_command

if TYPE_CHECKING:
    from data import Dataset

# Each kind alone and in a usual strength; what is drawn by chance happens to every image or batch.
GALLERY: tuple[dict[str, Any], ...] = (
    {},
    {"crop_padding": 4},
    {"flip": True},
    {"policy": "autoaugment"},
    {"policy": "randaugment", "randaugment_n": 2, "randaugment_m": 14},
    {"policy": "trivialaugment"},
    {"cutout": 16},
    {"random_erasing": 1.0},
    {"mixup": 1.0},
    {"cutmix": 1.0, "cutmix_prob": 1.0},
)
SCALE, GAP = 2, 6  # a pixel of an image is 2 x 2 of the picture
LABELS, FONT = 178, 14  # width of the text at the left, its size


def preview_augment(config: DictConfig) -> None:
    """Write the picture that `config.preview_augment` asks for.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
    """
    import engine  # noqa: F401  (prepares the process for OneFlow)
    from data import build_dataset
    from data.augment import read_augment

    settings = config.preview_augment
    out = Path(str(settings.out))
    if out.suffix != ".png":
        raise refusal("preview_augment.out", str(out), "a file name that ends in .png")
    check_integer("preview_augment.images", settings.images, 1, 32)
    read_augment(config.augment)
    words = HydraConfig.get().overrides.task
    chosen = any(word.lstrip("+").startswith("augment") for word in words)
    nodes = [{}, dict(config.augment)] if chosen else list(GALLERY)
    dataset = build_dataset(config.dataset)
    rows = [make_row(dataset, row, config.seed, settings.images) for row in nodes]
    draw(out, [title(row) for row in nodes], rows)
    print(f"Written: {out}")


def make_row(dataset: "Dataset", node: Mapping[str, Any], seed: int, count: int) -> np.ndarray:
    """Return the first training images under an augmentation: (n, 3, H, W) uint8."""
    from data import BatchLoader, Split
    from data.images import restore_pixels

    few = Split(dataset.train.images[:count], dataset.train.labels[:count])
    options = {"seed": seed, "augment": node, "classes": len(dataset.class_names)}
    loader = BatchLoader(few, count, dataset.mean, dataset.std, **options)
    images, _ = next(loader.epoch())
    return restore_pixels(images.numpy(), loader.normalizer)


def title(node: Mapping[str, Any]) -> list[str]:
    """Return the lines of text beside a row: what is on.

    >>> title({"crop_padding": 0, "flip": True, "cutout": 16, "mixup": None})
    ['flip=true', 'cutout=16']
    """
    on = {key: value for key, value in node.items() if value not in (None, 0, False)}
    return [f"{key}={str(on[key]).lower()}" for key in on] or ["as they are"]


def draw(out: Path, titles: Sequence[Sequence[str]], rows: Sequence[np.ndarray]) -> None:
    """Write the rows, each with its title at the left, to a png file."""
    from PIL import Image, ImageDraw, ImageFont

    from data.images import tile_images

    font: Any = ImageFont.load_default(FONT)
    strips = []
    for row, text in zip(rows, titles, strict=True):
        apart = np.pad(row, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=255)
        tiles = tile_images(apart, len(apart)).transpose(1, 2, 0)
        images = Image.fromarray(tiles.repeat(SCALE, axis=0).repeat(SCALE, axis=1))
        height = max(images.height, FONT * 5 // 4 * len(text)) + GAP
        strip = Image.new("RGB", (LABELS + images.width + GAP, height), "white")
        strip.paste(images, (LABELS, 0))
        ImageDraw.Draw(strip).multiline_text((GAP, 0), "\n".join(text), "black", font)
        strips.append(np.asarray(strip))
    picture = Image.fromarray(np.vstack([np.full_like(strips[0][:GAP], 255), *strips]))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out, optimize=True)
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise OSError(str(refusal("preview_augment.out", str(out), expected))) from error


if __name__ == "__main__":
    run_command(preview_augment, "preview_augment")
