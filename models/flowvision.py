"""Any of flowvision's ImageNet nets by name, on images that are resized on the fly.

    python train.py model=flowvision model.name=resnet50 model.image_size=224

`model._target_=flowvision.models.NAME` takes a net as it is, on images of 32 x 32: enough for some,
while others have nothing left to look at behind their strides.
"""

import difflib
from collections.abc import Callable

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from models.layers import check_num_classes

# By the beginning of the name. Smaller images leave nothing before the last layer, at which OneFlow
# ends the process or makes up logits.
SMALLEST = {"alexnet": 63, "inception": 75, "dla": 224}
DEFAULT_SMALLEST = 32
LARGEST = 1024
AUXILIARY = ("googlenet", "inception_v3")  # what they add in training is left out


class ResizedNet(nn.Module):
    """A net behind a resize to (N, 3, image_size, image_size).

    The resize is bilinear; pixels are areas, so corners are not aligned. Images of the right size
    are left as they are.
    """

    def __init__(self, net: nn.Module, name: str, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.num_classes = num_classes
        self.image_size = image_size

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes).

        Raises:
            ValueError: the net refuses this size, or its output is something else.
        """
        size = (self.image_size, self.image_size)
        if tuple(images.shape[2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        try:
            out = self.net(images)
        except AssertionError as error:  # nets made for one size say so
            raise ValueError(
                f"image_size={self.image_size}: flowvision's {self.name} refuses it: {error}"
            ) from error
        logits = out[0] if self.name in AUXILIARY else out
        self.check(logits)
        return logits

    def check(self, logits: object) -> None:
        """Refuse an output that is not one row of `num_classes` numbers per image."""
        found = tuple(logits.shape[1:]) if isinstance(logits, flow.Tensor) else None
        if found != (self.num_classes,):
            what = f"{found} numbers" if found is not None else f"a {type(logits).__name__}"
            raise ValueError(
                f"name={self.name!r}: this net of flowvision makes {what} per image, not "
                f"num_classes={self.num_classes} logits; choose another."
            )


def classifiers() -> dict[str, Callable[..., nn.Module]]:
    """What makes each of flowvision's classifiers, by name.

    Its detectors, segmenters and style nets, registered too, lie in packages of their own.
    """
    from flowvision.models import ModelCreator

    entries = ModelCreator._model_entrypoints.items()
    return {name: build for name, build in entries if build.__module__.count(".") == 2}


def smallest_size(name: str) -> int:
    """The fewest pixels of a side that a net works on.

    >>> smallest_size("dla34"), smallest_size("resnet50")
    (224, 32)
    """
    sizes = (size for prefix, size in SMALLEST.items() if name.startswith(prefix))
    return next(sizes, DEFAULT_SMALLEST)


def flowvision_net(num_classes: int, name: str, image_size: int = 224) -> ResizedNet:
    """The net that flowvision calls `name`, not trained, on images of `image_size` squared.

    Raises:
        ValueError: flowvision has no such classifier, or `image_size` is too small or large for it.
    """
    check_num_classes(num_classes)
    known = classifiers()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {len(known)}."
        raise ValueError(f"name={name!r}: flowvision has no such classifier; {hint}")
    smallest = smallest_size(name)
    if not isinstance(image_size, int) or not smallest <= image_size <= LARGEST:
        raise ValueError(
            f"image_size={image_size!r}: flowvision's {name} takes {smallest} to {LARGEST} pixels."
        )
    settings = {"aux_logits": False} if name in AUXILIARY else {}
    net = known[name](num_classes=num_classes, **settings)
    return ResizedNet(net, name, num_classes, image_size)
