"""The loader against flowvision's transforms in OneFlow's DataLoader, both in one process."""

import time
from argparse import Namespace
from collections.abc import Iterator
from operator import truediv
from typing import Any

import numpy as np

from scripts.benchmark.measure import Figure, seconds  # prepares OneFlow

BATCH = 128
PIXEL_MEAN, PIXEL_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def measure(options: Namespace) -> Iterator[Figure]:
    """Yield images per second of both, with random crop and flip, and their ratio."""
    from data import BatchLoader, Split

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 3, 32, 32), dtype="uint8")
    split = Split(images, random.integers(0, 100, len(images)))
    augment = {"crop_padding": 4, "flip": True}
    loader = BatchLoader(split, BATCH, PIXEL_MEAN, PIXEL_STD, augment=augment, seed=0, shuffle=True)
    reference = build_reference(images[:1000], split.labels[:1000])

    def speed(batches: Any, count: int) -> float:
        return count / seconds(lambda: [None for _ in batches], time.perf_counter)[0]

    turns = range(2 if options.quick else 8)  # the first to warm up
    pairs = [(speed(loader.epoch(), len(images)), speed(reference, 1000)) for _ in turns]
    ours, theirs = map(list, zip(*pairs[1:], strict=True))
    yield "loader, crop and flip", "images/s", ours
    yield "flowvision + DataLoader", "images/s", theirs
    yield "loader / flowvision", "ratio", list(map(truediv, ours, theirs))


def build_reference(images: np.ndarray, labels: np.ndarray) -> Any:
    """Return the usual loader, which takes each image through PIL and flowvision's transforms."""
    from flowvision import transforms
    from oneflow.utils.data import DataLoader, Dataset
    from PIL import Image

    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    steps += [transforms.ToTensor(), transforms.Normalize(PIXEL_MEAN, PIXEL_STD)]
    transform = transforms.Compose(steps)

    class Images(Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.fromarray(images[index].transpose(1, 2, 0))), labels[index]

    return DataLoader(Images(), batch_size=BATCH, shuffle=True)
