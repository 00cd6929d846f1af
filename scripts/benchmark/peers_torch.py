"""The time of this project's models in PyTorch. Run by another Python, which has no OneFlow.

    PYTHON -m scripts.benchmark.peers_torch MODEL START STEPS THREADS

MODEL is a function in models/, as models.resnet.resnet20. Its file is read with torch in the place
of oneflow. START is a file with the images, the labels and the first weights. Prints {"losses": of
the first steps, "seconds": per step}.
"""

import importlib
import json
import sys
import time
from pkgutil import resolve_name

import numpy as np


def main() -> None:
    """Load the weights, make some steps to warm up and as many against the clock."""
    name, path, steps, threads = sys.argv[1:]
    # Not by an import statement: no file of this project may import torch beside OneFlow.
    torch = importlib.import_module("torch")
    for part in ("", ".nn", ".nn.functional"):
        sys.modules[f"oneflow{part}"] = sys.modules[f"torch{part}"]
    torch.set_num_threads(int(threads))
    start = dict(np.load(path))
    images, labels = (torch.from_numpy(start.pop(key)) for key in ("images", "labels"))
    model = resolve_name(name)(num_classes=100)
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
