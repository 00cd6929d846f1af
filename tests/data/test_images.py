"""What is done to images, against the plain version, and pictures of them."""

import numpy as np
import pytest

from data.images import Normalizer, crop_images, restore_pixels, tile_images
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split

ENDS = [(0, 0), (0, 64), (64, 0), (64, 64), (63, 1), (32, 32)]
CROPS = [(p, [(y, x) for y in range(2 * p + 1) for x in range(2 * p + 1)]) for p in (1, 5)]


@pytest.mark.parametrize(("padding", "offsets"), [*CROPS, (32, ENDS)])
@pytest.mark.parametrize("count", [1, 3])  # the first and the last image have less memory around
def test_crop_equals_the_plain_version(padding, offsets, count):
    images = draw_split(count).images
    for row in range(count):
        rows = np.full(len(offsets), row)
        found = crop_images(images, rows, np.array(offsets), padding)
        expected = [plain.crop(images[row], padding, *offset) for offset in offsets]
        np.testing.assert_array_equal(found, expected)


def test_normalization_equals_the_plain_version_for_every_pixel_value():
    images = np.arange(3 * 1024, dtype=np.uint32).reshape(1, 3, 32, 32).astype(np.uint8)
    normalizer = Normalizer(MEAN, STD)
    found = normalizer(images)
    assert_same_bits(found, plain.normalize(images[0])[None])
    exact = (images / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6)
    assert (restore_pixels(found, normalizer) == images).all()


def test_tiles_are_in_rows():
    images = draw_split(5).images
    picture = tile_images(images, columns=3)
    assert picture.shape == (3, 64, 96)
    assert (picture[:, :32, 32:64] == images[1]).all() and (picture[:, 32:, :32] == images[3]).all()
    assert not picture[:, 32:, 64:].any()
