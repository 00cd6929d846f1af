"""Any of flowvision's ImageNet models by name, on images that are resized on the fly.

    python train.py model=flowvision model.name=resnet50 model.image_size=224

`model._target_=flowvision.models.NAME` takes a model as it is, on images of 32 x 32: enough for
some, while others shrink them to nothing.
"""

from collections.abc import Callable

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from common.checks import check_integer, refusal, suggest

# Smallest side in pixels, by the beginning of the name. With smaller images nothing is left before
# the last layer, where OneFlow aborts the process or returns wrong logits.
SMALLEST = {"alexnet": 63, "inception": 75, "dla": 224}
DEFAULT_SMALLEST = 32
LARGEST = 1024
AUXILIARY = ("googlenet", "inception_v3")  # their auxiliary classifiers are left out


class ResizedNet(nn.Module):
    """A model after a resize to (N, 3, image_size, image_size).

    The resize is bilinear; pixels are areas, so corners are not aligned. Images of the right size
    are left as they are.
    """

    def __init__(self, net: nn.Module, name: str, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.net, self.name = net, name
        self.num_classes, self.image_size = num_classes, image_size

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, H, W) to logits (N, num_classes).

        Raises:
            ValueError: the model refuses this size, or its output is not logits.
        """
        size = (self.image_size, self.image_size)
        if tuple(images.shape[2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        try:
            out = self.net(images)
        except AssertionError as error:  # of models made for one size
            wanted = f"a size that flowvision's {self.name} accepts"
            raise ValueError(f"{refusal('image_size', self.image_size, wanted)} {error}") from error
        logits = out[0] if self.name in AUXILIARY else out
        is_tensor = isinstance(logits, flow.Tensor)
        found = tuple(logits.shape[1:]) if is_tensor else type(logits).__name__
        if found != (self.num_classes,):
            wanted = f"a model with {self.num_classes} logits per image, not {found}"
            raise refusal("name", self.name, wanted)
        return logits


def classifiers() -> dict[str, Callable[..., nn.Module]]:
    """Return flowvision's classifiers by name.

    Its detectors, segmenters and style models, registered too, lie in subpackages.
    """
    from flowvision.models import ModelCreator

    entries = ModelCreator._model_entrypoints.items()
    return {name: build for name, build in entries if build.__module__.count(".") == 2}


def smallest_size(name: str) -> int:
    """Return the smallest side in pixels on which a model works.

    >>> smallest_size("dla34"), smallest_size("resnet50")
    (224, 32)
    """
    sizes = (size for prefix, size in SMALLEST.items() if name.startswith(prefix))
    return next(sizes, DEFAULT_SMALLEST)


def flowvision_net(num_classes: int, name: str, image_size: int = 224) -> ResizedNet:
    """Return the untrained model that flowvision calls `name`, on images of `image_size` squared.

    Raises:
        ValueError: flowvision has no such classifier, or `image_size` is too small or large for it.
    """
    check_integer("num_classes", num_classes, 1)
    known = classifiers()
    if name not in known:
        refused = refusal("name", name, "a classifier of flowvision")
        raise ValueError(f"{refused}{suggest(name, known)}")
    check_integer("image_size", image_size, smallest_size(name), LARGEST)
    settings = {"aux_logits": False} if name in AUXILIARY else {}
    net = known[name](num_classes=num_classes, **settings)
    return ResizedNet(net, name, num_classes, image_size)
