"""Batches: exact against a plain image-by-image version, and a function of (seed, epoch, step)."""

import numpy as np
import oneflow as flow
import pytest

from data import BatchLoader, Split
from data.augment import augment_images, crop_randomly, flip_randomly, read_augment

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
AUGMENT = {"crop_padding": 4, "flip": True}


def draw_split(n, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return Split(images, rng.integers(0, 100, n))


def crop_plainly(image, padding, down, right):
    """Return what a person would write for one image."""
    out = np.zeros_like(image)
    for y in range(32):
        for x in range(32):
            from_y, from_x = y + down - padding, x + right - padding
            if 0 <= from_y < 32 and 0 <= from_x < 32:
                out[:, y, x] = image[:, from_y, from_x]
    return out


class Dealt:
    """Stands for a generator and hands out prepared numbers."""

    def __init__(self, offsets, numbers):
        self.offsets, self.numbers = offsets, numbers

    def integers(self, low, high, size):
        assert (low, high) == (0, 9) and size == self.offsets.shape
        return self.offsets

    def random(self, size):
        assert size == len(self.numbers)
        return self.numbers


def test_crop_and_flip_equal_the_plain_version():
    # every offset of a 4 pixel padding, each with and without flip
    down, right, mirrored = (a.ravel() for a in np.meshgrid(range(9), range(9), [0, 1]))
    images = draw_split(len(down)).images
    rng = Dealt(np.stack([down, right]), np.where(mirrored, 0.49, 0.5))
    found = augment_images(images, read_augment(AUGMENT), rng)
    for i, image in enumerate(images):
        plain = crop_plainly(image, 4, down[i], right[i])
        np.testing.assert_array_equal(found[i], plain[:, :, ::-1] if mirrored[i] else plain)


def test_crop_draws_every_offset_and_flip_half():
    image = np.zeros((1, 3, 32, 32), np.uint8)
    image[0, :, 16, 16] = 255
    images = np.repeat(image, 20_000, axis=0)
    cropped = crop_randomly(images, 4, np.random.default_rng(0))
    places, counts = np.unique(cropped[:, 0].reshape(20_000, -1).argmax(1), return_counts=True)
    assert sorted(places) == sorted(32 * y + x for y in range(12, 21) for x in range(12, 21))
    assert counts.min() > 180 and counts.max() < 320  # 20,000 / 81 = 247, deviation 16
    flipped = flip_randomly(images, np.random.default_rng(0))
    assert 9_700 < (flipped[:, 0, 16, 15] == 255).sum() < 10_300
    assert (images == image).all()  # neither wrote into what it was given


@pytest.mark.parametrize("padding", [1, 2, 5, 32])
def test_other_paddings(padding):
    images = draw_split(40).images
    found = crop_randomly(images, padding, np.random.default_rng(1))
    down, right = np.random.default_rng(1).integers(0, 2 * padding + 1, size=(2, 40))
    for i, image in enumerate(images):
        np.testing.assert_array_equal(found[i], crop_plainly(image, padding, down[i], right[i]))


def test_batches_are_normalized_in_order_and_complete():
    split = draw_split(10)
    loader = BatchLoader(split, 4, MEAN, STD)
    batches = list(loader.epoch())
    assert len(loader) == 3
    assert [tuple(images.shape) for images, _ in batches] == [(4, 3, 32, 32)] * 2 + [(2, 3, 32, 32)]
    assert all(i.dtype == flow.float32 and y.dtype == flow.int64 for i, y in batches)
    assert np.concatenate([labels.numpy() for _, labels in batches]).tolist() == list(split.labels)
    mean, std = (np.reshape(a, (3, 1, 1)) for a in (MEAN, STD))
    expected = (split.images / 255 - mean) / std  # in float64
    found = np.concatenate([images.numpy() for images, _ in batches])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


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


def collect(loader, *where):
    return [(images.numpy(), labels.numpy()) for images, labels in loader.epoch(*where)]


def is_same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(a, b) and np.array_equal(m, n)
        for (a, m), (b, n) in zip(one, two, strict=True)
    )


def build(seed=0, n=50, **options):
    options = {"augment": AUGMENT, "shuffle": True} | options
    return BatchLoader(draw_split(n), 8, MEAN, STD, seed=seed, **options)


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
    split = Split(draw_split(50).images, np.arange(50))
    loader = BatchLoader(split, 8, MEAN, STD, shuffle=True)
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
    images = draw_split(1).images.repeat(300, axis=0)
    loader = BatchLoader(Split(images, np.zeros(300, np.int64)), 300, (0, 0, 0), (1, 1, 1),
                         augment=AUGMENT)  # fmt: skip
    shared = augment_images(images, read_augment(AUGMENT), np.random.default_rng([0, 0]))
    ((found, _),) = collect(loader)
    assert not np.allclose(found, shared / 255, atol=1e-6)


def test_batches_that_are_kept_keep_their_values():
    loader = build(n=400)
    kept = [images * 1 for images, _ in loader.epoch()]  # queued, computed whenever
    assert is_same([(k.numpy(), k.numpy()) for k in kept],
                   [(i, i) for i, _ in collect(loader)])  # fmt: skip


def test_the_split_is_never_written_to():
    split = draw_split(50)
    before = split.images.copy()
    for augment in (AUGMENT, {"crop_padding": 0, "flip": True}, None):
        collect(BatchLoader(split, 8, MEAN, STD, augment=augment))
    assert np.array_equal(split.images, before)


NOT_ACCEPTED = [
    ({"batch_size": 0}, "batch_size=0 is not accepted: give an integer of at least 1"),
    ({"batch_size": 2.5}, "batch_size=2.5 is not accepted"),
    ({"seed": -1}, "seed=-1 is not accepted: give an integer of at least 0"),
    ({"augment": {"crop_padding": -1}}, "dataset.augment.crop_padding=-1 is not accepted"),
    ({"augment": {"crop_padding": "four"}}, "dataset.augment.crop_padding=four is not accepted"),
    ({"augment": {"crop_padding": True}}, "dataset.augment.crop_padding=True is not accepted"),
    ({"augment": {"flip": 0.5}}, "dataset.augment.flip=0.5 is not accepted: give true or false"),
    ({"augment": {"mixup": 1}}, "dataset.augment.mixup is unknown: it has crop_padding and flip"),
]


@pytest.mark.parametrize(("options", "says"), NOT_ACCEPTED)
def test_wrong_values(options, says):
    options = {"batch_size": 8, "mean": MEAN, "std": STD} | options
    with pytest.raises(ValueError) as caught:
        BatchLoader(draw_split(2), **options)
    assert says in str(caught.value)


def test_no_augmentation_leaves_the_batch_alone():
    images = draw_split(3).images
    for node in (None, {}, {"crop_padding": 0, "flip": False}):
        assert augment_images(images, read_augment(node), None) is images
