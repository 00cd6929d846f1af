"""The loader against flowvision's transforms in OneFlow's DataLoader, both in one process."""

from operator import truediv
from typing import Any

import numpy as np

from scripts.benchmark.measure import Figure, Options, figure, seconds  # prepares OneFlow

BATCH = 128
PIXEL_MEAN, PIXEL_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def measure(options: Options) -> list[Figure]:
    """Return images per second of both, with random crop and flip, and their ratio."""
    from data import BatchLoader, Split

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 3, 32, 32), dtype="uint8")
    split = Split(images, random.integers(0, 100, len(images)))
    augment = {"crop_padding": 4, "flip": True}
    loader = BatchLoader(split, BATCH, PIXEL_MEAN, PIXEL_STD, augment=augment, seed=0, shuffle=True)
    reference = build_reference(images[:1000], split.labels[:1000])

    def read(batches: Any, count: int) -> float:
        return count / seconds(lambda: [None for _ in batches])

    pairs = [
        (read(loader.epoch(), len(images)), read(reference, 1000))
        for _ in range(1 + options.turns(7))
    ][1:]  # without the turn to warm up
    ours, theirs = zip(*pairs, strict=True)
    return [
        figure("loader", "loader, crop and flip", "images/s", ours),
        figure("loader", "flowvision + DataLoader", "images/s", theirs),
        figure("loader", "loader / flowvision", "ratio", list(map(truediv, ours, theirs))),
    ]


def build_reference(images: np.ndarray, labels: np.ndarray) -> Any:
    """Return the usual loader, which takes each image through PIL and flowvision's transforms."""
    from flowvision import transforms
    from oneflow.utils.data import DataLoader, Dataset
    from PIL import Image

    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(PIXEL_MEAN, PIXEL_STD),
        ]
    )

    class Images(Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.fromarray(images[index].transpose(1, 2, 0))), labels[index]

    return DataLoader(Images(), batch_size=BATCH, shuffle=True)
