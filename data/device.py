"""The functions of `data.pixels` on the device of the training, in OneFlow: the same bits.

For a GPU: the bytes of a batch travel, a quarter of the floats, and the device does the rest. Every
operation here is exact (places, products with 0 or 1) or one that IEEE 754 rounds in one way.
"""

from collections.abc import Mapping

import numpy as np
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


def find_inside(boxes: flow.Tensor, height: int, width: int) -> flow.Tensor:
    """Return 1.0 inside the boxes (n, 4) int64 and 0.0 outside: (n, 1, H, W)."""
    y, x = (flow.arange(side, device=boxes.device) for side in (height, width))
    lines = within(y, boxes[:, 0:1], boxes[:, 1:2])
    columns = within(x, boxes[:, 2:3], boxes[:, 3:4])
    return (lines.unsqueeze(2) * columns.unsqueeze(1)).unsqueeze(1)


def erase_boxes(images: flow.Tensor, boxes: flow.Tensor) -> flow.Tensor:
    """Return the images with zeros in the boxes (n, 4) int64."""
    return images.masked_fill(find_inside(boxes, *images.shape[2:]) > 0, 0.0)


def augment_images(
    images: flow.Tensor, draws: Mapping[str, flow.Tensor], augment: Augment, normalizer: Normalizer
) -> flow.Tensor:
    """Return single images as the model gets them: uint8 (n, 3, H, W) becomes float32."""
    floats = images.to(flow.float32)
    if "crop" in draws or "flip" in draws:
        floats = crop_and_flip(floats, draws, augment.crop_padding)
    floats = normalize(floats, normalizer)
    for kind in ("cutout", "erasing"):
        if kind in draws:
            floats = erase_boxes(floats, draws[kind])
    return floats


def mix_images(images: flow.Tensor, mixed: Mapping[str, flow.Tensor]) -> flow.Tensor:
    """Return m mixed images of k (k, 3, H, W); `mixed` as for `data.mixing.mix_images`."""
    own, others = (flow.index_select(images, 0, mixed[name]) for name in ("own", "other"))
    if "box" in mixed:
        return flow.where(find_inside(mixed["box"], *images.shape[2:]) > 0, others, own)
    share = mixed["share"].reshape(-1, 1, 1, 1)
    return own * share + others * (1 - share)


def send(array: np.ndarray, device: str) -> flow.Tensor:
    """Return draws as a tensor on the device: shares as they are, everything else as int64."""
    is_share = array.dtype == np.float32
    return flow.tensor(array if is_share else array.astype(np.int64), device=device)
