"""Batches as a person would write them down, image by image: slow, and obviously right."""

import numpy as np

from data import Split
from data.augment import draw_augment
from data.mixing import draw_mix
from data.policies import NAMES, OPERATIONS

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def draw_split(n, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return Split(images, rng.integers(0, 100, n))


def crop(image, padding, down, right):
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    return padded[:, down : down + 32, right : right + 32]


def normalize(image):
    """In float32, first the factor and then the summand: each rounded by itself."""
    out = np.empty(image.shape, np.float32)
    for channel in range(3):
        factor = np.float32(1 / (255 * np.float64(STD[channel])))
        summand = np.float32(-np.float64(MEAN[channel]) / np.float64(STD[channel]))
        out[channel] = image[channel].astype(np.float32) * factor + summand
    return out


def paste(image, other, top, bottom, left, right):
    """The image with the box from another; a number stands for an image of it alone."""
    out, box = image.copy(), np.s_[:, top:bottom, left:right]
    out[box] = other if np.isscalar(other) else other[box]
    return out


def batches(split, batch_size, augment, seed, epoch, shuffle, classes=100):
    """The batches of an epoch as (images, labels), from the numbers that are drawn for them."""
    order = np.arange(len(split.labels))
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(order)
    for step in range(-(-len(order) // batch_size)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        shape, where = (len(rows), 32, 32), (seed, epoch, step)
        draws = draw_augment(augment, shape, where)
        images = [make_image(split.images[row], augment, draws, i) for i, row in enumerate(rows)]
        labels = split.labels[rows]
        if augment.mixes:
            labels = np.eye(classes, dtype=np.float32)[labels]
        if mix := draw_mix(augment, shape, where):
            pairs = [(images[i], images[j]) for i, j in enumerate(mix.partner)]
            images = [blend(*pair, mix.share) for pair in pairs]
            if mix.box:
                images = [paste(*pair, *mix.box) for pair in pairs]
            labels = blend(labels, labels[mix.partner], mix.share)
        yield np.stack(images), labels


def make_image(image, augment, draws, i):
    """Image i of a batch: cropped, mirrored, recolored, normalized, cut out, erased."""
    if augment.crop_padding:
        image = crop(image, augment.crop_padding, *draws["crop"][i])
    if augment.flip and draws["flip"][i]:
        image = image[:, :, ::-1]
    if augment.policy:
        for operation, strength in zip(draws["operations"][i], draws["strengths"][i], strict=True):
            function = OPERATIONS[NAMES[operation]]
            image = function(image[None], np.array([strength]))[0]
    image = normalize(image)
    for kind in ("cutout", "erasing"):
        if kind in draws:
            image = paste(image, 0, *draws[kind][i])
    return image


def blend(image, other, share):
    return image * share + other * (np.float32(1) - share)


def assert_same_bits(found, expected):
    """Compare the bytes of floats: 0.0 and -0.0 differ."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()
