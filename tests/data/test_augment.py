"""Each augmentation against the plain version, its random numbers, and what its keys accept."""

import numpy as np
import oneflow as flow
import pytest

from data import device
from data.augment import Augment, draw_augment, read_augment, take_rows
from data.pixels import Normalizer, crop_images, cut_out, flip_images
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split


def every_offset(padding):
    """(n, 2) offsets down and right: all of them."""
    side = range(2 * padding + 1)
    return np.stack([a.ravel() for a in np.meshgrid(side, side, indexing="ij")], axis=1)


@pytest.mark.parametrize("padding", [1, 4, 5])
@pytest.mark.parametrize("place", ["first", "last", "only", "anywhere"])
def test_crop_equals_the_plain_version(padding, place):
    images = draw_split(1 if place == "only" else 7).images
    offsets = every_offset(padding)
    choices = {"first": 0, "last": len(images) - 1, "only": 0}
    rows = np.arange(len(offsets)) % 7 if place == "anywhere" else choices[place]
    rows = np.broadcast_to(rows, len(offsets))
    found = crop_images(images, rows, offsets, padding)
    for i, (down, right) in enumerate(offsets):
        np.testing.assert_array_equal(found[i], plain.crop(images[rows[i]], padding, down, right))


@pytest.mark.parametrize("offset", [(0, 0), (0, 64), (64, 0), (64, 64), (63, 1), (32, 32)])
def test_the_widest_crop(offset):
    images = draw_split(3).images
    offsets = np.array([offset] * 3)
    for found, image in zip(crop_images(images, np.arange(3), offsets, 32), images, strict=True):
        np.testing.assert_array_equal(found, plain.crop(image, 32, *offset))


def test_flip_mirrors_the_chosen_images():
    images = draw_split(9).images
    for chosen in (np.arange(9) % 2 == 0, np.zeros(9, bool), np.ones(9, bool)):
        found = images.copy()
        flip_images(found, chosen)
        for i, image in enumerate(images):
            np.testing.assert_array_equal(found[i], plain.flip(image) if chosen[i] else image)


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_normalization_equals_the_plain_version_for_every_pixel_value(count):
    images = np.arange(3 * 1024, dtype=np.uint32).reshape(1, 3, 32, 32).astype(np.uint8)
    images = np.concatenate([images, images[:, ::-1]] * 3)[:count]
    expected = np.stack([plain.normalize(image) for image in images])
    assert_same_bits(Normalizer(MEAN, STD, 1024)(images), expected)
    exact = (images / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(expected, exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 3, 16, 63, 64])
def test_cutout_equals_the_plain_version(side):
    middles = np.array([(y, x) for y in (0, 1, 15, 30, 31) for x in (0, 1, 15, 30, 31)])
    images = np.stack([plain.normalize(image) for image in draw_split(len(middles)).images])
    found = images.copy()
    cut_out(found, middles, side)
    for i, image in enumerate(images):
        assert_same_bits(found[i], plain.cutout(image, *middles[i], side))


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"crop_padding": 4},
        {"flip": True},
        {"crop_padding": 1, "flip": True},
        {"crop_padding": 32, "flip": True},
        {"cutout": 1},
        {"cutout": 64},
        {"crop_padding": 4, "flip": True, "cutout": 15},
    ],
)
def test_the_device_makes_the_same_bits(node):
    images, augment = draw_split(60).images, read_augment(node)
    draws = draw_augment(augment, (60, 32, 32), seed=1, epoch=2, step=3)
    on_device = {key: flow.tensor(array.astype(np.int64)) for key, array in draws.items()}
    normalizer = Normalizer(MEAN, STD, 1024)
    found = device.augment_images(flow.tensor(images), on_device, augment, normalizer)
    assert_same_bits(found.numpy(), plain.augmented(images, node, (1, 2, 3)))


def test_draws_reach_every_value_and_no_other():
    augment = Augment(crop_padding=4, flip=True, cutout=16)
    draws = draw_augment(augment, (20_000, 32, 32), seed=0, epoch=0, step=0)
    places, counts = np.unique(draws["crop"] @ [9, 1], return_counts=True)
    assert draws["crop"].min() == 0 and draws["crop"].max() == 8 and len(places) == 81
    assert counts.min() > 180 and counts.max() < 320  # 20,000 / 81 = 247, deviation 16
    assert 9_700 < draws["flip"].sum() < 10_300
    middles, counts = np.unique(draws["cutout"] @ [32, 1], return_counts=True)
    assert draws["cutout"].min() == 0 and draws["cutout"].max() == 31 and len(middles) == 1024
    assert counts.max() < 50  # 20,000 / 1024 = 19.5, deviation 4.4


def test_draws_are_a_function_of_seed_epoch_and_step():
    augment = Augment(crop_padding=4, flip=True, cutout=16)
    wheres = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    drawn = [draw_augment(augment, (64, 32, 32), *where) for where in wheres]
    again = draw_augment(augment, (64, 32, 32), 0, 0, 0)
    for kind in ("crop", "flip", "cutout"):
        assert np.array_equal(drawn[0][kind], again[kind])
        assert all(not np.array_equal(drawn[0][kind], other[kind]) for other in drawn[1:])


def test_crops_and_flips_are_the_same_with_cutout_and_without():
    with_cutout, without = (
        draw_augment(Augment(4, True, side), (64, 32, 32), 5, 6, 7) for side in (16, None)
    )
    assert with_cutout.keys() - without.keys() == {"cutout"}
    assert all(np.array_equal(with_cutout[kind], without[kind]) for kind in without)


def test_rows_of_draws_are_those_of_the_images():
    draws = draw_augment(Augment(4, True, 16), (10, 32, 32), 0, 0, 0)
    part = take_rows(draws, slice(3, 6))
    assert all(np.array_equal(part[kind], draws[kind][3:6]) for kind in draws)
    assert {len(array) for array in part.values()} == {3}


NOT_ACCEPTED = [
    ({"crop_padding": -1}, "crop_padding=-1 is not accepted: give an integer from 0 to 32"),
    ({"crop_padding": 33}, "crop_padding=33 is not accepted"),
    ({"crop_padding": "four"}, "crop_padding=four is not accepted"),
    ({"crop_padding": True}, "crop_padding=True is not accepted"),
    ({"crop_padding": None}, "crop_padding=None is not accepted"),
    ({"flip": 0.5}, "flip=0.5 is not accepted: give true or false"),
    ({"cutout": 0}, "cutout=0 is not accepted: give null or an integer from 1 to 64"),
    ({"cutout": 65}, "cutout=65 is not accepted"),
    ({"cutout": 8.0}, "cutout=8.0 is not accepted"),
    ({"cutout": True}, "cutout=True is not accepted"),
    ({"zoom": 1}, "zoom is unknown: it has crop_padding, flip, cutout"),
]


@pytest.mark.parametrize(("node", "says"), NOT_ACCEPTED)
def test_wrong_values(node, says):
    with pytest.raises(ValueError) as caught:
        read_augment(node)
    assert str(caught.value).startswith(f"dataset.augment.{says}")


@pytest.mark.parametrize("node", [None, {}, {"crop_padding": 0, "flip": False, "cutout": None}])
def test_nothing_wanted_draws_nothing(node):
    assert draw_augment(read_augment(node), (8, 32, 32), 0, 0, 0) == {}
