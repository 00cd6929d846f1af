"""The functions of `data.pixels` on the device of the training, in OneFlow: the same bits.

For a GPU: the bytes of a batch travel, a quarter of the floats, and the device does the rest. Every
operation here is exact (places, products with 0 or 1) or one that IEEE 754 rounds in one way.
"""

from collections.abc import Mapping

import oneflow as flow

from data.augment import Augment
from data.pixels import Normalizer


def crop_and_flip(
    images: flow.Tensor, draws: Mapping[str, flow.Tensor], padding: int
) -> flow.Tensor:
    """Return the images cropped and mirrored, as `draws` has it.

    Args:
        images: (n, 3, H, W) float32, whole numbers.
        draws: `crop` (n, 2) int64, `flip` (n,) int64, as `draw_augment` makes them; may lack both.
        padding: pixels of zeros on each side.
    """
    n, channels, height, width = images.shape
    y = flow.arange(height, device=images.device).reshape(1, -1)
    x = flow.arange(width, device=images.device).reshape(1, -1)
    if "flip" in draws:
        flip = draws["flip"].reshape(-1, 1)
        x = flip * (width - 1) + (1 - 2 * flip) * x  # (n, W)
    if "crop" in draws:
        y = y + draws["crop"][:, :1] - padding  # (n, H)
        x = x + draws["crop"][:, 1:] - padding
    # where each pixel of the result comes from: (n, H, W)
    lines, columns = y.clamp(0, height - 1).unsqueeze(2), x.clamp(0, width - 1).unsqueeze(1)
    places = (lines * width + columns).expand(n, height, width).reshape(n, 1, -1)
    inside = within(y, 0, height).unsqueeze(2) * within(x, 0, width).unsqueeze(1)
    moved = flow.gather(images.reshape(n, channels, -1), 2, places.expand(n, channels, -1))
    return moved.reshape(n, channels, height, width) * inside.unsqueeze(1)


def within(values: flow.Tensor, low: int | flow.Tensor, end: int | flow.Tensor) -> flow.Tensor:
    """Return 1.0 where `low` <= value < `end`, else 0.0."""
    return (values >= low).to(flow.float32) * (values < end).to(flow.float32)


def normalize(images: flow.Tensor, normalizer: Normalizer) -> flow.Tensor:
    """Return (v / 255 - mean) / std of float32 images (n, 3, H, W)."""
    scale, shift = (
        flow.tensor(values, device=images.device).reshape(1, -1, 1, 1)
        for values in (normalizer.scale, normalizer.shift)
    )
    return images * scale + shift


def cut_out(images: flow.Tensor, middles: flow.Tensor, side: int) -> flow.Tensor:
    """Return the images with a square of zeros around the middles (n, 2) int64."""
    first = middles - side // 2
    rows, columns = (
        within(flow.arange(length, device=images.device), start, start + side)
        for length, start in zip(images.shape[2:], (first[:, :1], first[:, 1:]), strict=True)
    )
    square = (rows.unsqueeze(2) * columns.unsqueeze(1)).unsqueeze(1)  # (n, 1, H, W)
    return images.masked_fill(square > 0, 0.0)


def augment_images(
    images: flow.Tensor, draws: Mapping[str, flow.Tensor], augment: Augment, normalizer: Normalizer
) -> flow.Tensor:
    """Return the batch as the model gets it: uint8 (n, 3, H, W) becomes float32."""
    floats = images.to(flow.float32)
    if "crop" in draws or "flip" in draws:
        floats = crop_and_flip(floats, draws, augment.crop_padding)
    floats = normalize(floats, normalizer)
    return cut_out(floats, draws["cutout"], augment.cutout) if "cutout" in draws else floats
