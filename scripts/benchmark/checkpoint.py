"""Saving a ResNet-18 with momentum against a plain write and fsync of the same bytes."""

import os
import tempfile
from pathlib import Path

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, seconds


def measure(options: Options) -> list[Figure]:
    """Seconds of both, in turns, and their ratios."""
    from engine.checkpoint import write_checkpoint

    weights, state, rates = build_state()
    # Beside the runs, and not in /tmp, which may be no disk.
    with tempfile.TemporaryDirectory(dir=".", prefix=".benchmark_") as name:
        folder = Path(name)

        def save() -> Path:
            return write_checkpoint(folder / "checkpoints", weights, rates, state, keep_last=1)

        contents = {path.name: path.read_bytes() for path in save().iterdir()}

        def plain() -> None:
            for file_name, content in contents.items():
                with (folder / file_name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())

        seconds(plain)
        pairs = [(seconds(save), seconds(plain)) for _ in range(options.turns(15))]
    size = sum(map(len, contents.values())) / 1e6
    return [
        figure("checkpoint", "save of ResNet-18 and momentum", "s", [pair[0] for pair in pairs]),
        figure("checkpoint", f"its {size:.0f} MB, write + fsync", "s", [pair[1] for pair in pairs]),
        figure("checkpoint", "save / write + fsync", "ratio", [a / b for a, b in pairs]),
    ]


def build_state() -> tuple[dict, dict, list[list[float]]]:
    """Weights, the rest of a checkpoint and the applied rates of a ResNet-18 after 10,000 steps."""
    from models.resnet import resnet18

    flow = runtime.flow
    model = resnet18(num_classes=100)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(flow.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()  # makes the momentum
    rates = [[0.1]] * 10_000
    state = {"step": len(rates), "first_step": 0, "optimizer": optimizer.state_dict()}
    return model.state_dict(), state, rates
