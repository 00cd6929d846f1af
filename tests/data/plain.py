"""Batches as a person would write them down, pixel by pixel: slow, and obviously right."""

import numpy as np

from data import Split, policies

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
    out = image.copy()
    for y in range(32):
        for x in range(32):
            if top <= y < bottom and left <= x < right:
                out[:, y, x] = other if np.isscalar(other) else other[:, y, x]
    return out


def square(middle, side):
    """The box of `side` pixels around a middle, of which a part may lie outside."""
    row, column = (int(place) - side // 2 for place in middle)
    return row, row + side, column, column + side


def mix(image, other, share):
    return image * np.float32(share) + other * (np.float32(1) - np.float32(share))


def batches(split, batch_size, augment, seed, epoch, shuffle, classes=100):
    """The batches of an epoch as (images, labels)."""
    order = np.arange(len(split.labels))
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(order)
    for step in range(-(-len(order) // batch_size)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        images = augmented(split.images[rows], augment, (seed, epoch, step))
        yield mixed(images, split.labels[rows], augment, (seed, epoch, step), classes)


def augmented(images, augment, where):
    """Single images: cropped, mirrored, recolored, normalized, cut out, erased."""
    n = len(images)
    padding, side = augment.get("crop_padding", 0), augment.get("cutout")
    rng = np.random.default_rng([*where, 0x617567])
    down, right = rng.integers(0, 2 * padding + 1, (2, n)) if padding else np.zeros((2, n), int)
    numbers = rng.random(n) if augment.get("flip") else np.ones(n)
    middles = np.random.default_rng([*where, 0x637574]).integers(0, 32, (n, 2))
    boxes = draw_erasing(augment.get("random_erasing") or 0, n, where)
    images = np.stack([crop(images[i], padding, down[i], right[i]) for i in range(n)])
    images = np.stack([images[i, :, :, :: -1 if numbers[i] < 0.5 else 1] for i in range(n)])
    if augment.get("policy"):  # what it draws and does is another test's; here is the order
        rng = np.random.default_rng([*where, 0x706F6C])
        count, magnitude = augment.get("randaugment_n", 2), augment.get("randaugment_m", 14)
        drawn = policies.draw_operations(augment["policy"], n, rng, count, magnitude)
        policies.apply_operations(images, *drawn)
    out = []
    for i, image in enumerate(images):
        image = normalize(image)
        image = paste(image, 0, *square(middles[i], side)) if side else image
        out.append(paste(image, 0, *boxes[i]))
    return np.stack(out)


def draw_erasing(probability, n, where):
    rng = np.random.default_rng([*where, 0x657261])
    chosen = rng.random(n) < probability
    areas = 1024 * (0.02 + (0.4 - 0.02) * rng.random((n, 10)))
    aspects = 0.3 + (1 / 0.3 - 0.3) * rng.random((n, 10))
    places = rng.random((2, n))
    boxes = []
    for i in range(n):
        box = (0, 0, 0, 0)
        for area, aspect in zip(areas[i], aspects[i], strict=True):
            height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if chosen[i] and height < 32 and width < 32:
                top = int(places[0, i] * (32 - height + 1))
                left = int(places[1, i] * (32 - width + 1))
                box = (top, top + height, left, left + width)
                break
        boxes.append(box)
    return boxes


def mixed(images, labels, augment, where, classes):
    """Images and labels after mixup or CutMix."""
    mixup, cutmix = augment.get("mixup"), augment.get("cutmix")
    if not (mixup or cutmix):
        return images, labels
    n, targets = len(labels), np.eye(classes, dtype=np.float32)[labels]
    rng = np.random.default_rng([*where, 0x6D6978])
    cuts = bool(cutmix) and rng.random() < augment.get("cutmix_prob", 0.5)
    if not (cuts or mixup):
        return images, targets
    share = rng.beta(cutmix, cutmix) if cuts else rng.beta(mixup, mixup)
    partners = rng.permutation(n)
    pairs = list(zip(images, images[partners], strict=True))
    if cuts:
        row, column = rng.integers(0, 32, 2)
        half = int(32 * (1 - share) ** 0.5) // 2
        box = (row - half, row + half, column - half, column + half)
        out = [paste(image, other, *box) for image, other in pairs]
        share = 1 - paste(np.zeros((1, 32, 32)), 1, *box).sum() / 1024
    else:
        out = [mix(image, other, share) for image, other in pairs]
    return np.stack(out), mix(targets, targets[partners], share)


def assert_same_bits(found, expected):
    """Compare the bytes of floats: 0.0 and -0.0 differ."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()
