"""Batches: those of the plain version to the bit, and a function of (seed, epoch, step)."""

import hashlib

import numpy as np
import pytest

from data import BatchLoader
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split

AUGMENT = {"crop_padding": 4, "flip": True}


def build(seed=0, n=50, batch_size=8, split=None, as_on_a_gpu=False, **options):
    options = {"augment": AUGMENT, "shuffle": True, "classes": 100} | options
    loader = BatchLoader(split or draw_split(n), batch_size, MEAN, STD, seed=seed, **options)
    if as_on_a_gpu:
        loader.sends_bytes = not loader.augment.mixes
    return loader


def collect(loader, *where):
    return [(images.numpy(), labels.numpy()) for images, labels in loader.epoch(*where)]


def assert_same(found, expected):
    for (images, labels), (its_images, its_labels) in zip(found, expected, strict=True):
        assert_same_bits(images, its_images)
        assert_same_bits(labels, its_labels)


NODES = [
    {},
    AUGMENT | {"cutout": 16, "random_erasing": 0.5},
    AUGMENT | {"policy": "autoaugment", "cutout": 8},
    {"crop_padding": 32, "random_erasing": 1.0},
    {"cutmix": 1.0, "cutmix_prob": 1.0},
    AUGMENT | {"cutout": 8, "mixup": 1.0, "cutmix": 1.0},
    AUGMENT | {"policy": "randaugment", "random_erasing": 0.5, "mixup": 1.0},
]


@pytest.mark.parametrize("as_on_a_gpu", [False, True])
@pytest.mark.parametrize("augment", NODES)
def test_batches_are_those_of_the_plain_version(augment, as_on_a_gpu):
    split = draw_split(20)
    loader = build(3, split=split, augment=augment, shuffle=bool(augment), as_on_a_gpu=as_on_a_gpu)
    expected = list(plain.batches(split, 8, loader.augment, 3, 2, shuffle=bool(augment)))
    assert [len(labels) for _, labels in expected] == [8, 8, 4]
    found = collect(loader, 2)
    assert_same(found, expected)
    assert_same(collect(loader, 2, 1), found[1:])  # an epoch may start anywhere
    assert collect(loader, 2, 3) == []


def test_steps_of_an_epoch_and_where_bytes_are_sent():
    assert [len(build(n=n, batch_size=8)) for n in (1, 8, 9, 50)] == [1, 1, 2, 7]
    assert build(device="cuda").sends_bytes and not build(device="cpu").sends_bytes
    assert not any(build(augment={k: 1}, device="cuda").sends_bytes for k in ("mixup", "cutmix"))


# Taken from the first version: a run that was begun long ago goes on as it began.
DIGESTS = [  # seed, images, batch size, whether shuffled, augment, epoch
    ((0, 50, 8, True, AUGMENT), 0, "ecab94e7c84c4c86"),
    ((3, 50, 8, True, AUGMENT), 7, "dca14a49ee43b864"),
    ((1, 20, 7, False, {"crop_padding": 32}), 0, "2537ac4df568f41c"),
    ((0, 9, 4, False, None), 0, "6da71545363ab698"),
]


@pytest.mark.parametrize(("where", "epoch", "expected"), DIGESTS)
def test_batches_of_earlier_versions(where, epoch, expected):
    seed, n, batch_size, shuffle, augment = where
    loader = build(seed, n, batch_size, augment=augment, shuffle=shuffle)
    content = [array.tobytes() for batch in collect(loader, epoch) for array in batch]
    assert hashlib.sha256(b"".join(content)).hexdigest()[:16] == expected


def test_wrong_values():
    for options, message in (({"batch_size": 0}, "batch_size=0"), ({"seed": -1}, "seed=-1")):
        with pytest.raises(ValueError, match=f"^{message}: expected an integer of at least"):
            build(**options)


@pytest.mark.parametrize("augment", [AUGMENT, AUGMENT | {"mixup": 1.0}, None])
def test_batches_that_are_kept_keep_their_values_and_so_does_the_split(augment):
    split = draw_split(400)
    before = split.images.copy()
    loader = build(split=split, augment=augment, batch_size=32)
    kept = [(images * 1, labels) for images, labels in loader.epoch()]  # computed whenever
    assert_same([(images.numpy(), labels.numpy()) for images, labels in kept], collect(loader))
    assert np.array_equal(split.images, before)


@pytest.mark.parametrize("as_on_a_gpu", [False, True])
@pytest.mark.parametrize("augment", [AUGMENT, {"policy": "trivialaugment"}, NODES[-2]])
def test_a_process_takes_its_part_of_each_batch(augment, as_on_a_gpu):
    options = {"augment": augment, "as_on_a_gpu": as_on_a_gpu, "batch_size": 16}
    whole = collect(build(**options), 1)
    for part in (slice(0, 6), slice(6, 16), slice(5, 5)):
        if part == slice(5, 5) and as_on_a_gpu:
            continue  # OneFlow has no kernels for tensors without numbers
        found = collect(build(part=lambda n, part=part: slice(*part.indices(n)), **options), 1)
        assert_same(found, [(images[part], labels) for images, labels in whole])
