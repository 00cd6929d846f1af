"""This project's models in PyTorch, and the time of their steps. Run by another Python.

    PYTHON scripts/benchmark/peers_torch.py MODEL START STEPS THREADS

START is a file with the images, the labels and the first weights under this project's names.
Prints {"losses": of the first steps, "seconds": per step}.
"""

import importlib
import json
import sys
import time
from typing import Any

import numpy as np


def build_convnet_tiny(nn: Any) -> Any:
    """Return models.convnet.convnet_tiny."""
    return nn.Sequential(
        nn.Conv2d(3, 16, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 64, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 8 * 8, 100),
    )


def build_resnet20(nn: Any) -> Any:
    """Return models.resnet.resnet20, with its shortcuts of option A."""

    def conv_norm(channels: int, width: int, stride: int) -> list[Any]:
        conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(width)]

    class Block(nn.Module):
        def __init__(self, channels: int, width: int) -> None:
            super().__init__()
            self.extra, self.stride = width - channels, 1 if width == channels else 2
            first, second = conv_norm(channels, width, self.stride), conv_norm(width, width, 1)
            self.residual = nn.Sequential(*first, nn.ReLU(), *second)

        def forward(self, features: Any) -> Any:
            short = features[:, :, :: self.stride, :: self.stride]
            short = nn.functional.pad(short, (0, 0, 0, 0, 0, self.extra))
            return nn.functional.relu(self.residual(features) + short)

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(*conv_norm(3, 16, 1), nn.ReLU())
            self.stages = nn.Sequential()
            for stage, (channels, width) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
                rest = [Block(width, width) for _ in range(2)]
                blocks = nn.Sequential(Block(channels, width), *rest)
                self.stages.add_module(str(stage), blocks)
            self.head = nn.Linear(64, 100)

        def forward(self, images: Any) -> Any:
            return self.head(self.stages(self.stem(images)).mean(dim=(2, 3)))

    return ResNet()


def main() -> None:
    """Load the weights, make some steps to warm up and as many against the clock."""
    name, path, steps, threads = sys.argv[1:]
    # Not by an import statement: no file of this project may import torch beside OneFlow.
    torch = importlib.import_module("torch")
    torch.set_num_threads(int(threads))
    start = dict(np.load(path))
    images, labels = (torch.from_numpy(start.pop(key)) for key in ("images", "labels"))
    model = {"convnet_tiny": build_convnet_tiny, "resnet20": build_resnet20}[name](torch.nn)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in start.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss()

    losses = []
    for step in range(2 * int(steps)):
        if step == int(steps):
            begun = time.perf_counter()
        losses.append(criterion(model(images), labels))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    seconds = (time.perf_counter() - begun) / int(steps)
    print(json.dumps({"losses": [loss.item() for loss in losses], "seconds": seconds}))


if __name__ == "__main__":
    main()
