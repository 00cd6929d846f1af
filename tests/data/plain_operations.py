"""Pillow's image operations, written out: images are (3, H, W) uint8."""

import numpy as np


def move(image, source):
    """Pixel (x, y) becomes that at `source(x, y)`, the nearest one; black from outside."""
    out = np.zeros_like(image)
    _, height, width = image.shape
    for y in range(height):
        for x in range(width):
            from_x, from_y = (np.floor(place) for place in source(x + 0.5, y + 0.5))
            if 0 <= from_x < width and 0 <= from_y < height:
                out[:, y, x] = image[:, int(from_y), int(from_x)]
    return out


def rotate(image, degrees):
    """Counterclockwise about the middle."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return move(
        image,
        lambda x, y: (
            16 + cos * (x - 16) - sin * (y - 16),
            16 + sin * (x - 16) + cos * (y - 16),
        ),
    )


def blend(dull, image, strength):
    """(1 + strength) of the way from `dull` to the image, cut to whole numbers and to 0..255."""
    dull, image = np.broadcast_arrays(dull.astype(np.float32), image.astype(np.float32))
    return np.clip(dull + np.float32(1 + strength) * (image - dull), 0, 255).astype(np.uint8)


def gray(image):
    red, green, blue = image.astype(int)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)[None]


def smooth(image):
    out = image.copy()
    for y in range(1, image.shape[1] - 1):
        for x in range(1, image.shape[2] - 1):
            around = image[:, y - 1 : y + 2, x - 1 : x + 2].astype(int).sum(axis=(1, 2))
            out[:, y, x] = (around + 4 * image[:, y, x].astype(int)) / 13 + 0.5
    return out


def autocontrast(channel):
    low, high = int(channel.min()), int(channel.max())
    if low == high:
        return channel
    scale = 255 / (high - low)
    return np.clip((channel * scale - low * scale).astype(int), 0, 255)


def equalize(channel):
    counts = np.bincount(channel.ravel(), minlength=256)
    step = (counts.sum() - counts[channel.max()]) // 255
    if not step:
        return channel
    below = np.cumsum(counts) - counts  # pixels that are darker
    return np.clip((step // 2 + below) // step, 0, 255)[channel]


def per_channel(function):
    return lambda image, _: np.stack([function(channel) for channel in image]).astype(np.uint8)


OPERATIONS = {
    "identity": lambda image, _: image,
    "shear_x": lambda image, s: move(image, lambda x, y: (x + s * y, y)),
    "shear_y": lambda image, s: move(image, lambda x, y: (x, y + s * x)),
    "translate_x": lambda image, s: move(image, lambda x, y: (x + s, y)),
    "translate_y": lambda image, s: move(image, lambda x, y: (x, y + s)),
    "rotate": rotate,
    "brightness": lambda image, s: blend(np.zeros_like(image), image, s),
    "color": lambda image, s: blend(gray(image), image, s),
    "contrast": lambda image, s: blend(np.floor(gray(image).mean() + 0.5), image, s),
    "sharpness": lambda image, s: blend(smooth(image), image, s),
    "posterize": lambda image, s: image >> int(8 - s) << int(8 - s),
    "solarize": lambda image, s: np.where(image < s, image, 255 - image),
    "autocontrast": per_channel(autocontrast),
    "equalize": per_channel(equalize),
    "invert": lambda image, _: 255 - image,
}
