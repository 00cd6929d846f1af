"""Our nets in PyTorch, and the time of their steps. Run by another Python, never imported here.

    PYTHON scripts/benchmark/peers_torch.py NET START STEPS THREADS

START is a file with the images, the labels and the first weights, by the names they have here.
Prints {"losses": of the first steps, "seconds": per step}.
"""

import importlib
import json
import sys
import time
from typing import Any

import numpy as np


def build_convnet_tiny(nn: Any) -> Any:
    """As models.convnet."""
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


def define_block(nn: Any, conv: Any) -> Any:
    """The class of a residual block with a shortcut of option A, as models.resnet.basic."""

    class Block(nn.Module):
        def __init__(self, channels: int, width: int, stride: int) -> None:
            super().__init__()
            self.stride, self.extra = stride, width - channels
            self.residual = nn.Sequential(
                conv(channels, width, stride),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                conv(width, width, 1),
                nn.BatchNorm2d(width),
            )

        def forward(self, features: Any) -> Any:
            short = features
            if self.extra:
                short = short[:, :, :: self.stride, :: self.stride]
                short = nn.functional.pad(short, (0, 0, 0, 0, 0, self.extra))
            return nn.functional.relu(self.residual(features) + short)

    return Block


def build_resnet20(nn: Any) -> Any:
    """As models.resnet."""

    def conv(channels: int, width: int, stride: int) -> Any:
        return nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)

    block = define_block(nn, conv)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(conv(3, 16, 1), nn.BatchNorm2d(16), nn.ReLU())
            self.stages, channels = nn.Sequential(), 16
            for stage, width in enumerate((16, 32, 64), 1):
                first = block(channels, width, 1 if stage == 1 else 2)
                rest = [block(width, width, 1) for _ in range(2)]
                self.stages.add_module(str(stage), nn.Sequential(first, *rest))
                channels = width
            self.head = nn.Linear(64, 100)

        def forward(self, images: Any) -> Any:
            return self.head(self.stages(self.stem(images)).mean(dim=(2, 3)))

    return Net()


def main() -> None:
    """Load the weights, make one turn of steps for warming up and one against the clock."""
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

    def step() -> Any:
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    losses = [step().item() for _ in range(int(steps))]
    begun = time.perf_counter()
    for _ in range(int(steps)):
        step()
    seconds = (time.perf_counter() - begun) / int(steps)
    print(json.dumps({"losses": losses, "seconds": seconds, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
