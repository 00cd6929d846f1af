"""Images per second of processor time under each augmentation, crop and flip and normalization."""

import time
from typing import Any

from scripts.benchmark.measure import (  # prepares the process for OneFlow
    Figure,
    Options,
    figure,
    seconds,
)

BATCH, IMAGES = 128, 5_000
# Shown as the keys are written on a command line.
KINDS: dict[str, dict[str, Any]] = {
    "crop, flip": {},
    "and cutout=16": {"cutout": 16},
    "and random_erasing=0.5": {"random_erasing": 0.5},
    "and mixup=1": {"mixup": 1.0},
    "and cutmix=1, cutmix_prob=1": {"cutmix": 1.0, "cutmix_prob": 1.0},
    "and policy=autoaugment": {"policy": "autoaugment"},
    "and policy=randaugment": {"policy": "randaugment"},
    "and policy=trivialaugment": {"policy": "trivialaugment"},
}


def measure(options: Options) -> list[Figure]:
    """The loader alone, on built-in images."""
    from data import BatchLoader
    from data.synthetic import build_synthetic

    drawn = build_synthetic(train_size=IMAGES, val_size=0, test_size=1)
    loaders = [
        BatchLoader(
            drawn.train,
            BATCH,
            drawn.mean,
            drawn.std,
            augment={"crop_padding": 4, "flip": True} | kind,
            shuffle=True,
            classes=len(drawn.class_names),
        )
        for kind in KINDS.values()
    ]

    def read(loader: BatchLoader, epoch: int) -> float:
        return IMAGES / seconds(lambda: [None for _ in loader.epoch(epoch)], time.process_time)

    turns = [[read(loader, epoch) for loader in loaders] for epoch in range(options.turns(9) + 1)]
    speeds = list(zip(*turns[1:], strict=True))  # the first turn was for warming up
    return [
        figure("augment", f"loader, {kind}", "images/s of processor time", list(speed))
        for kind, speed in zip(KINDS, speeds, strict=True)
    ]
