"""Batches: those of the plain version to the bit, and a function of (seed, epoch, step)."""

import hashlib

import numpy as np
import oneflow as flow
import pytest

from data import BatchLoader, Split
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


def is_same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(a, b) and np.array_equal(m, n)
        for (a, m), (b, n) in zip(one, two, strict=True)
    )


NODES = [
    ({}, False),
    ({"flip": True}, False),
    (AUGMENT, True),
    (AUGMENT | {"cutout": 16, "random_erasing": 0.5}, True),
    (AUGMENT | {"policy": "autoaugment", "cutout": 8}, True),
    ({"crop_padding": 32, "random_erasing": 1.0}, True),
    ({"mixup": 0.2}, True),
    ({"cutmix": 1.0}, True),
    ({"cutmix": 1.0, "cutmix_prob": 1.0}, True),
    (AUGMENT | {"cutout": 8, "mixup": 1.0, "cutmix": 1.0}, True),
    (AUGMENT | {"policy": "randaugment", "random_erasing": 0.5, "mixup": 1.0}, True),
]


@pytest.mark.parametrize("as_on_a_gpu", [False, True])
@pytest.mark.parametrize(("augment", "shuffle"), NODES)
def test_batches_are_those_of_the_plain_version(augment, shuffle, as_on_a_gpu):
    split = draw_split(20)
    loader = build(3, split=split, augment=augment, shuffle=shuffle, as_on_a_gpu=as_on_a_gpu)
    expected = list(plain.batches(split, 8, loader.augment, seed=3, epoch=2, shuffle=shuffle))
    assert [len(labels) for _, labels in expected] == [8, 8, 4]
    for (images, labels), (its_images, its_labels) in zip(
        collect(loader, 2), expected, strict=True
    ):
        assert_same_bits(images, its_images)
        assert_same_bits(labels, its_labels)


@pytest.mark.parametrize(
    ("device", "augment", "sends"),
    [
        ("cpu", AUGMENT, False),
        ("cuda", AUGMENT, True),
        ("cuda", {"mixup": 1.0}, False),
        ("cuda", {"cutmix": 1.0}, False),
    ],
)
def test_where_bytes_are_sent(device, augment, sends):
    assert build(augment=augment, device=device).sends_bytes == sends


# Taken from the first version: a run that was begun long ago goes on as it began.
DIGESTS = [
    ({"n": 50, "augment": AUGMENT}, 0, "ecab94e7c84c4c86"),
    ({"n": 50, "augment": AUGMENT, "seed": 3}, 7, "dca14a49ee43b864"),
    ({"n": 20, "batch_size": 20, "augment": {"flip": True}, "seed": 1}, 0, "083b14e7d7497925"),
    (
        {"n": 20, "batch_size": 7, "augment": {"crop_padding": 32}, "seed": 1, "shuffle": False},
        0,
        "2537ac4df568f41c",
    ),
    ({"n": 9, "batch_size": 4, "augment": None, "shuffle": False}, 0, "6da71545363ab698"),
]


@pytest.mark.parametrize(("options", "epoch", "expected"), DIGESTS)
def test_batches_of_earlier_versions(options, epoch, expected):
    digest = hashlib.sha256()
    for images, labels in collect(build(**options), epoch):
        digest.update(images.tobytes() + labels.tobytes())
    assert digest.hexdigest()[:16] == expected


@pytest.mark.parametrize("augment", [{}, AUGMENT | {"cutmix": 1.0}])
def test_batches_are_complete_and_typed(augment):
    split = draw_split(10)
    loader = build(split=split, batch_size=4, augment=augment, shuffle=False)
    batches = list(loader.epoch())
    assert [tuple(images.shape) for images, _ in batches] == [(4, 3, 32, 32)] * 2 + [(2, 3, 32, 32)]
    assert all(images.dtype == flow.float32 for images, _ in batches)
    labels = np.concatenate([labels.numpy() for _, labels in batches])
    if augment:
        assert labels.dtype == np.float32 and np.allclose(labels.sum(axis=1), 1)
    else:
        assert labels.dtype == np.int64 and labels.tolist() == list(split.labels)


STEPS = [
    (1, 1, 1),
    (10, 1, 10),
    (10, 3, 4),
    (9, 3, 3),
    (10, 10, 1),
    (10, 64, 1),
    (45_000, 128, 352),
]


@pytest.mark.parametrize(("images", "batch_size", "steps"), STEPS)
def test_steps_per_epoch(images, batch_size, steps):
    split = Split(np.zeros((images, 3, 32, 32), np.uint8), np.zeros(images, np.int64))
    assert len(BatchLoader(split, batch_size, MEAN, STD)) == steps


@pytest.mark.parametrize("start", [0, 1, 6, 7])
def test_an_epoch_may_start_anywhere(start):
    whole = collect(build(), 3)
    assert len(whole) == 7 and is_same(collect(build(), 3, start), whole[start:])


def test_batches_are_a_function_of_seed_epoch_and_step():
    loader = build()
    first = collect(loader, 1)
    list(loader.epoch(0)), next(loader.epoch(5))  # what was read before changes nothing
    assert is_same(collect(loader, 1), first)
    assert not is_same(collect(loader, 2), first)
    assert not is_same(collect(build(seed=1), 1), first)


def test_every_image_comes_once_an_epoch_in_a_new_order():
    loader = build(split=Split(draw_split(50).images, np.arange(50)), augment=None)
    orders = [np.concatenate([y for _, y in collect(loader, e)]).tolist() for e in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(map(tuple, orders))) == 3


@pytest.mark.parametrize("augment", [AUGMENT, AUGMENT | {"mixup": 1.0}, None])
def test_batches_that_are_kept_keep_their_values_and_so_does_the_split(augment):
    split = draw_split(400)
    before = split.images.copy()
    loader = build(split=split, augment=augment)
    kept = [(images * 1, labels) for images, labels in loader.epoch()]  # computed whenever
    assert is_same([(images.numpy(), labels.numpy()) for images, labels in kept], collect(loader))
    assert np.array_equal(split.images, before)


@pytest.mark.parametrize("as_on_a_gpu", [False, True])
@pytest.mark.parametrize("augment", [AUGMENT, {"policy": "trivialaugment"}, NODES[-2][0]])
def test_a_process_takes_its_part_of_each_batch(augment, as_on_a_gpu):
    whole = collect(build(augment=augment, batch_size=16), 1)
    for part in (slice(0, 6), slice(6, 16), slice(5, 5)):
        if part == slice(5, 5) and as_on_a_gpu:
            continue  # OneFlow has no kernels for tensors without numbers
        options = {"augment": augment, "as_on_a_gpu": as_on_a_gpu, "batch_size": 16}
        loader = build(part=lambda n, part=part: slice(*part.indices(n)), **options)
        for (images, labels), (all_images, all_labels) in zip(
            collect(loader, 1), whole, strict=True
        ):
            assert_same_bits(images, all_images[part])
            assert_same_bits(labels, all_labels)


NOT_ACCEPTED = [
    ({"batch_size": 0}, "batch_size=0: expected an integer of at least 1."),
    ({"batch_size": 2.5}, "batch_size=2.5: expected"),
    ({"seed": -1}, "seed=-1: expected an integer of at least 0."),
    ({"augment": {"crop_padding": -1}}, "augment.crop_padding=-1: expected"),
]


@pytest.mark.parametrize(("options", "message"), NOT_ACCEPTED)
def test_wrong_values(options, message):
    with pytest.raises(ValueError) as caught:
        BatchLoader(draw_split(2), **({"batch_size": 8, "mean": MEAN, "std": STD} | options))
    assert str(caught.value).startswith(message)
