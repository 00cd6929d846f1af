"""Batches: those of the plain version to the bit, and a function of (seed, epoch, step)."""

import gc
import hashlib
import threading

import numpy as np
import oneflow as flow
import pytest

from data import BatchLoader, Split
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split

AUGMENT = {"crop_padding": 4, "flip": True}


def build(seed=0, n=50, batch_size=8, split=None, **options):
    options = {"augment": AUGMENT, "shuffle": True} | options
    return BatchLoader(split or draw_split(n), batch_size, MEAN, STD, seed=seed, **options)


def collect(loader, *where):
    return [(images.numpy(), labels.numpy()) for images, labels in loader.epoch(*where)]


def is_same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(a, b) and np.array_equal(m, n)
        for (a, m), (b, n) in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("in_numpy", [True, False])
@pytest.mark.parametrize("ahead", [0, 1, 2, None])
@pytest.mark.parametrize(
    ("augment", "shuffle"),
    [
        (AUGMENT, True),
        (AUGMENT | {"cutout": 16, "random_erasing": 0.5}, True),
        (AUGMENT | {"policy": "autoaugment", "cutout": 8}, True),
        ({"flip": True}, False),
        ({}, False),
    ],
)
def test_batches_are_those_of_the_plain_version(augment, shuffle, ahead, in_numpy):
    split = draw_split(20)
    loader = build(3, split=split, augment=augment, shuffle=shuffle, ahead=ahead)
    loader.in_numpy = in_numpy  # false as on a GPU
    found = collect(loader, 2)
    expected = list(plain.batches(split, 8, augment, seed=3, epoch=2, shuffle=shuffle))
    assert [len(labels) for _, labels in expected] == [8, 8, 4]
    for (images, labels), (its_images, its_labels) in zip(found, expected, strict=True):
        assert_same_bits(images, its_images)
        assert_same_bits(labels, its_labels)


# Taken before there was a thread, cutout or a device that augments: an old run goes on as it began.
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


def test_batches_are_complete_and_typed():
    split = draw_split(10)
    loader = BatchLoader(split, 4, MEAN, STD)
    batches = list(loader.epoch())
    assert len(loader) == 3
    assert [tuple(images.shape) for images, _ in batches] == [(4, 3, 32, 32)] * 2 + [(2, 3, 32, 32)]
    assert all(i.dtype == flow.float32 and y.dtype == flow.int64 for i, y in batches)
    assert np.concatenate([labels.numpy() for _, labels in batches]).tolist() == list(split.labels)


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


@pytest.mark.parametrize("start", range(8))
def test_an_epoch_may_start_anywhere(start):
    whole = collect(build(), 3)
    assert is_same(collect(build(), 3, start), whole[start:])


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


def test_augmentation_differs_between_steps_and_epochs():
    split = Split(np.repeat(draw_split(1).images, 512, axis=0), np.zeros(512, np.int64))
    loader = BatchLoader(split, 256, MEAN, STD, augment=AUGMENT)
    batches = [images for epoch in range(2) for images, _ in collect(loader, epoch)]
    assert all(not np.array_equal(batches[i], batches[j]) for i in range(4) for j in range(i))


def test_order_and_augmentation_have_random_numbers_of_their_own():
    # default_rng([seed, epoch]) and default_rng([seed, epoch, 0]) are the same generator.
    assert np.random.default_rng([1, 2]).random() == np.random.default_rng([1, 2, 0]).random()
    drawn = build()._draw(300, epoch=2, step=0)["crop"].T
    assert not np.array_equal(drawn, np.random.default_rng([0, 2]).integers(0, 9, (2, 300)))


@pytest.mark.parametrize("augment", [AUGMENT, {"crop_padding": 0, "flip": True}, None])
def test_batches_that_are_kept_keep_their_values_and_so_does_the_split(augment):
    split = draw_split(400)
    before = split.images.copy()
    loader = build(split=split, augment=augment)
    kept = [images * 1 for images, _ in loader.epoch()]  # queued, computed whenever
    assert is_same([(k.numpy(), k.numpy()) for k in kept],
                   [(i, i) for i, _ in collect(loader)])  # fmt: skip
    assert np.array_equal(split.images, before)


def test_a_process_takes_its_part_of_each_batch():
    whole = collect(build(augment=AUGMENT), 1)
    first, rest = (lambda n: slice(0, 1)), (lambda n: slice(1, n))
    parts = [collect(build(augment=AUGMENT, part=part), 1) for part in (first, rest)]
    for (images, labels), *theirs in zip(whole, *parts, strict=True):
        assert is_same([(np.concatenate([part[0] for part in theirs]), labels)], [(images, labels)])
        assert all(np.array_equal(part[1], labels) for part in theirs)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_no_thread_outlives_its_epoch(monkeypatch):
    loader = build(ahead=2)
    list(loader.epoch())
    batches = loader.epoch()
    next(batches)
    assert len(threads()) == 1
    batches.close()
    next(loader.epoch())  # dropped at once
    gc.collect()
    assert threads() == []
    monkeypatch.setattr(loader, "normalizer", lambda images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(loader.epoch())
    assert threads() == []


NOT_ACCEPTED = [
    ({"batch_size": 0}, "batch_size=0 is not accepted: give an integer of at least 1"),
    ({"batch_size": 2.5}, "batch_size=2.5 is not accepted"),
    ({"seed": -1}, "seed=-1 is not accepted: give an integer of at least 0"),
    ({"augment": {"crop_padding": -1}}, "dataset.augment.crop_padding=-1 is not accepted"),
]


@pytest.mark.parametrize(("options", "says"), NOT_ACCEPTED)
def test_wrong_values(options, says):
    options = {"batch_size": 8, "mean": MEAN, "std": STD} | options
    with pytest.raises(ValueError) as caught:
        BatchLoader(draw_split(2), **options)
    assert says in str(caught.value)
