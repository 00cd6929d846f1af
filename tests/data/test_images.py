"""What is done to images, against the plain version, and pictures of them."""

import numpy as np
import pytest

from data.images import (
    Normalizer,
    change_bytes,
    crop_images,
    find_erased,
    find_inside,
    restore_pixels,
    tile_images,
)
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split


@pytest.mark.parametrize("padding", [1, 4, 5])
@pytest.mark.parametrize("place", ["first", "last", "only", "anywhere"])
def test_crop_equals_the_plain_version(padding, place):
    images = draw_split(1 if place == "only" else 7).images
    side = range(2 * padding + 1)
    offsets = np.array([(down, right) for down in side for right in side])
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


def test_flip_mirrors_the_chosen_images_and_leaves_the_split():
    images = draw_split(9).images
    before = images.copy()
    for chosen in (np.arange(9) % 2 == 0, np.zeros(9, bool), np.ones(9, bool)):
        found = change_bytes(images, np.arange(9), {"flip": chosen}, 0)
        for i, image in enumerate(before):
            np.testing.assert_array_equal(found[i], image[:, :, ::-1] if chosen[i] else image)
    np.testing.assert_array_equal(images, before)


def test_normalization_equals_the_plain_version_for_every_pixel_value():
    images = np.arange(3 * 1024, dtype=np.uint32).reshape(1, 3, 32, 32).astype(np.uint8)
    images = np.concatenate([images, images[:, ::-1]])
    normalizer = Normalizer(MEAN, STD)
    found = normalizer(images)
    assert_same_bits(found, np.stack([plain.normalize(image) for image in images]))
    exact = (images / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6)
    assert (restore_pixels(found, normalizer) == images).all()


def test_boxes_are_where_the_plain_version_has_them():
    boxes = [(0, 32, 0, 32), (5, 6, 31, 32), (0, 0, 0, 0), (7, 7, 3, 9), (0, 12, 28, 32)]
    masks = find_inside(np.array(boxes), 32, 32)
    assert masks.shape == (5, 1, 32, 32) and masks.dtype == bool
    for mask, box in zip(masks, boxes, strict=True):
        assert (mask == plain.paste(np.zeros((1, 32, 32), bool), True, *box)).all()
    assert find_erased({}, 32, 32) is None
    both = find_erased({"cutout": np.array(boxes[1:2]), "erasing": np.array(boxes[4:])}, 32, 32)
    assert (both[0] == masks[1] | masks[4]).all()


def test_tiles_are_in_rows():
    images = draw_split(5).images
    picture = tile_images(images, columns=3)
    assert picture.shape == (3, 64, 96)
    assert (picture[:, :32, 32:64] == images[1]).all() and (picture[:, 32:, :32] == images[3]).all()
    assert not picture[:, 32:, 64:].any()
