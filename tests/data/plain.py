"""Batches as a person would write them down, pixel by pixel: slow, and obviously right."""

import numpy as np

from data import Split

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def draw_split(n, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return Split(images, rng.integers(0, 100, n))


def crop(image, padding, down, right):
    out = np.zeros_like(image)
    for y in range(32):
        for x in range(32):
            from_y, from_x = y + down - padding, x + right - padding
            if 0 <= from_y < 32 and 0 <= from_x < 32:
                out[:, y, x] = image[:, from_y, from_x]
    return out


def flip(image):
    return image[:, :, ::-1]


def normalize(image, mean=MEAN, std=STD):
    """In float32, first the factor and then the summand: each rounded by itself."""
    out = np.empty(image.shape, np.float32)
    for channel in range(3):
        factor = np.float32(1 / (255 * np.float64(std[channel])))
        summand = np.float32(-np.float64(mean[channel]) / np.float64(std[channel]))
        out[channel] = image[channel].astype(np.float32) * factor + summand
    return out


def cutout(image, row, column, side):
    out = image.copy()
    for y in range(32):
        for x in range(32):
            if 0 <= y - (row - side // 2) < side and 0 <= x - (column - side // 2) < side:
                out[:, y, x] = 0
    return out


def batches(split, batch_size, augment, seed, epoch, shuffle):
    """The batches of an epoch as (images, labels), with random numbers of their own."""
    order = np.arange(len(split.labels))
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(order)
    for step in range(-(-len(order) // batch_size)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        yield augmented(split.images[rows], augment, (seed, epoch, step)), split.labels[rows]


def augmented(images, augment, where):
    n = len(images)
    padding, side = augment.get("crop_padding", 0), augment.get("cutout")
    rng = np.random.default_rng([*where, 0x617567])
    down, right = rng.integers(0, 2 * padding + 1, (2, n)) if padding else np.zeros((2, n), int)
    numbers = rng.random(n) if augment.get("flip") else np.ones(n)
    middles = np.random.default_rng([*where, 0x637574]).integers(0, 32, (n, 2))
    out = []
    for i, image in enumerate(images):
        image = crop(image, padding, down[i], right[i]) if padding else image
        image = normalize(flip(image) if numbers[i] < 0.5 else image)
        out.append(cutout(image, *middles[i], side) if side else image)
    return np.stack(out)


def bits(array):
    """The bytes of floats as integers: 0.0 and -0.0 differ."""
    array = np.ascontiguousarray(array)
    return array.view(np.uint32) if array.dtype == np.float32 else array


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(bits(found), bits(expected))
