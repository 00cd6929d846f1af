"""The loader against flowvision's transforms in OneFlow's DataLoader, one process each."""

from operator import truediv
from typing import Any

import numpy as np

from scripts.benchmark.measure import (  # prepares the process for OneFlow
    Figure,
    Options,
    figure,
    seconds,
)

BATCH = 128
PIXEL_MEAN, PIXEL_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def measure(options: Options) -> list[Figure]:
    """Our loader, also with cutout, against flowvision's transforms in OneFlow's DataLoader."""
    from data import BatchLoader, Split

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 3, 32, 32), dtype="uint8")
    split = Split(images, random.integers(0, 100, len(images)))
    shared = {"seed": 0, "shuffle": True}
    crop_and_flip = {"crop_padding": 4, "flip": True}
    loaders = [
        BatchLoader(split, BATCH, PIXEL_MEAN, PIXEL_STD, augment=augment, **shared)
        for augment in (crop_and_flip, crop_and_flip | {"cutout": 16})
    ]
    reference = reference_loader(images[:1000], split.labels[:1000])

    def read(batches: Any, count: int) -> float:
        return count / seconds(lambda: [None for _ in batches])

    def turn() -> list[float]:
        ours = [read(loader.epoch(), len(images)) for loader in loaders]
        return [*ours, read(reference, 1000)]

    turn()
    plain, cutout, theirs = zip(*(turn() for _ in range(options.turns(7))), strict=True)
    return [
        figure("loader", "loader, crop and flip", "images/s", list(plain)),
        figure("loader", "loader, crop, flip and cutout", "images/s", list(cutout)),
        figure("loader", "flowvision + DataLoader", "images/s", list(theirs)),
        figure("loader", "loader / flowvision", "ratio", list(map(truediv, plain, theirs))),
    ]


def reference_loader(images: np.ndarray, labels: np.ndarray) -> Any:
    """The usual way: per image, PIL, flowvision's transforms and OneFlow's DataLoader."""
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
