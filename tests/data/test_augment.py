"""Each augmentation against the plain version, its random numbers, and what its keys accept."""

import numpy as np
import oneflow as flow
import pytest

from data import boxes, device
from data.augment import Augment, draw_augment, read_augment, take_rows
from data.boxes import cut_boxes, draw_erasing
from data.pixels import Normalizer, crop_images, erase_boxes, flip_images
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
    boxes = cut_boxes(middles, side // 2, side - side // 2, 32, 32)
    images = np.stack([plain.normalize(image) for image in draw_split(len(middles)).images])
    found = images.copy()
    erase_boxes(found, boxes)
    for i, image in enumerate(images):
        assert_same_bits(found[i], plain.erase(image, *plain.square(middles[i], side)))


def test_erased_rectangles_are_those_of_the_paper():
    n = 50_000
    boxes = draw_erasing(0.5, n, 32, 32, np.random.default_rng(0))
    top, bottom, left, right = boxes[boxes.any(axis=1)].T
    assert abs(len(top) / n - 0.5) < 0.01
    assert top.min() == left.min() == 0 and bottom.max() == right.max() == 32
    high, wide = bottom - top, right - left
    assert (high < 32).all() and (wide < 32).all() and (high > 0).all() and (wide > 0).all()
    area, aspect = high * wide / 1024, high / wide
    assert 0.012 < area.min() < 0.02 and 0.4 < area.max() < 0.43  # sides are rounded to pixels
    assert abs(area.mean() - 0.2) < 0.01  # large and narrow ones do not fit: a little below 0.21
    assert 0.24 < aspect.min() < 0.3 and 3.33 < aspect.max() < 4.5
    assert abs((top / (32 - high)).mean() - 0.5) < 0.01  # anywhere


def test_an_image_into_which_no_rectangle_fits_stays_whole(monkeypatch):
    monkeypatch.setattr(boxes, "_ATTEMPTS", 1)
    drawn = draw_erasing(1.0, 5_000, 32, 32, np.random.default_rng(0))
    top, bottom, left, right = drawn.T
    assert (bottom - top < 32).all() and (right - left < 32).all() and drawn.max() <= 32
    assert 0.02 < (~drawn.any(axis=1)).mean() < 0.1


@pytest.mark.parametrize(("probability", "erased"), [(1.0, 100), (1e-9, 0)])
def test_random_erasing_at_the_ends_of_its_probability(probability, erased):
    boxes = draw_erasing(probability, 100, 32, 32, np.random.default_rng(0))
    assert boxes.any(axis=1).sum() == erased


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
        {"random_erasing": 1.0},
        {"crop_padding": 4, "flip": True, "cutout": 15, "random_erasing": 0.5},
    ],
)
def test_the_device_makes_the_same_bits(node):
    images, augment = draw_split(60).images, read_augment(node)
    draws = draw_augment(augment, (60, 32, 32), seed=1, epoch=2, step=3)
    on_device = {kind: device.send(array, "cpu") for kind, array in draws.items()}
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
    top, bottom, left, right = draws["cutout"].T
    # 17 of 32 middles leave a side of 16 whole, each of the others cuts one pixel more off it
    assert set(bottom - top) == set(right - left) == set(range(8, 17))
    assert abs((bottom - top == 16).mean() - 17 / 32) < 0.02
    assert abs((right - left == 16).mean() - 17 / 32) < 0.02


def test_draws_are_a_function_of_seed_epoch_and_step():
    augment = Augment(crop_padding=4, flip=True, cutout=16)
    wheres = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    drawn = [draw_augment(augment, (64, 32, 32), *where) for where in wheres]
    again = draw_augment(augment, (64, 32, 32), 0, 0, 0)
    for kind in ("crop", "flip", "cutout"):
        assert np.array_equal(drawn[0][kind], again[kind])
        assert all(not np.array_equal(drawn[0][kind], other[kind]) for other in drawn[1:])


EVERYTHING = {
    "crop_padding": 4,
    "flip": True,
    "policy": "autoaugment",
    "cutout": 8,
    "random_erasing": 0.5,
    "mixup": 0.2,
    "cutmix": 1.0,
}


@pytest.mark.parametrize("left_out", EVERYTHING)
def test_a_kind_that_is_left_out_changes_no_other(left_out):
    node = {key: value for key, value in EVERYTHING.items() if key != left_out}
    drawn, fewer = (
        draw_augment(read_augment(wanted), (64, 32, 32), 5, 6, 7) for wanted in (EVERYTHING, node)
    )
    assert fewer.keys() <= drawn.keys()
    together = {"crop_padding": "flip", "mixup": "share", "cutmix": "share"}  # of one stream
    if left_out in together:
        kinds = [kind for kind in fewer if kind not in ("flip", "partner", "share", "box")]
    else:
        kinds = list(fewer)
    assert all(np.array_equal(drawn[kind], fewer[kind]) for kind in kinds)


def test_rows_of_draws_are_those_of_the_images():
    draws = draw_augment(read_augment(EVERYTHING), (10, 32, 32), 0, 0, 0)
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
    ({"policy": "auto"}, "policy=auto is not accepted: give null, autoaugment, randaugment or tri"),
    ({"policy": ["randaugment"]}, "policy=['randaugment'] is not accepted"),
    ({"policy": "randaugment", "randaugment_n": 0}, "randaugment_n=0 is not accepted"),
    ({"policy": "randaugment", "randaugment_m": 31}, "randaugment_m=31 is not accepted: give null"),
    ({"policy": "randaugment", "randaugment_m": 9.5}, "randaugment_m=9.5 is not accepted"),
    (
        {"randaugment_m": 9},
        "randaugment_m=9 is of no use without dataset.augment.policy=randaugmen",
    ),
    (
        {"policy": "autoaugment", "randaugment_n": 1},
        "randaugment_n=1 is of no use without dataset.augment.policy=randaugment",
    ),
    ({"random_erasing": 0}, "random_erasing=0 is not accepted: give null or a number above 0, up"),
    ({"random_erasing": 1.01}, "random_erasing=1.01 is not accepted"),
    ({"random_erasing": float("nan")}, "random_erasing=nan is not accepted"),
    ({"mixup": 0.0}, "mixup=0.0 is not accepted: give null or a number above 0, up to 100"),
    ({"mixup": -1}, "mixup=-1 is not accepted"),
    ({"mixup": True}, "mixup=True is not accepted"),
    ({"mixup": float("inf")}, "mixup=inf is not accepted"),
    ({"cutmix": "1"}, "cutmix=1 is not accepted"),
    ({"cutmix": 1, "cutmix_prob": 1.5}, "cutmix_prob=1.5 is not accepted"),
    ({"cutmix_prob": 0.5}, "cutmix_prob=0.5 is of no use without dataset.augment.cutmix"),
    ({"zoom": 1}, "zoom is unknown: it has crop_padding, flip, policy"),
]


@pytest.mark.parametrize(("node", "says"), NOT_ACCEPTED)
def test_wrong_values(node, says):
    with pytest.raises(ValueError) as caught:
        read_augment(node)
    assert str(caught.value).startswith(f"dataset.augment.{says}")


@pytest.mark.parametrize(
    "node",
    [None, {}, dict.fromkeys(Augment.__dataclass_fields__) | {"crop_padding": 0, "flip": False}],
)
def test_nothing_wanted_draws_nothing(node):
    assert draw_augment(read_augment(node), (8, 32, 32), 0, 0, 0) == {}
