"""Measure what the harness costs, as ratios inside one run.

    python -m scripts.benchmark                 # everything, some minutes
    python -m scripts.benchmark trainer loader  # only these sections

Each figure compares two ways of doing one thing, measured in turns (a b a b ...) in this run, and
is the median of the turns' ratios with their lowest and highest. Writes `benchmark.json` and prints
the table of docs/performance.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from operator import truediv
from pathlib import Path
from typing import Any

import numpy as np

from engine import runtime  # before anything that imports OneFlow
from scripts.measure import Figure, figure, hardware, in_turns, seconds

CONF = Path(__file__).resolve().parent.parent / "conf"
BATCH = 128
PIXEL_MEAN, PIXEL_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


class Resident:
    """A loader that yields one batch for ever, so that only the training is measured."""

    def __init__(self, batch_size: int) -> None:
        random = np.random.default_rng(0)
        images = random.standard_normal((batch_size, 3, 32, 32), dtype="float32")
        labels = random.integers(0, 100, batch_size)
        self.batch = runtime.flow.tensor(images), runtime.flow.tensor(labels)

    def __len__(self) -> int:
        return 10**9

    def epoch(self, epoch: int = 0, start_step: int = 0) -> Iterator[Any]:
        """The one batch, again and again."""
        while True:
            yield self.batch


def measure_trainer() -> list[Figure]:
    """The Trainer's step, recorded, against the bare forward, backward and update."""
    from models.convnet import convnet_tiny
    from models.resnet import resnet20

    figures = []
    for build, batch_size, turns in ((convnet_tiny, 128, 31), (resnet20, 32, 5)):
        name = f"step of the Trainer / bare step ({build.__name__}, batch {batch_size})"
        ratios = compare_steps(build, Resident(batch_size), turns)
        figures.append(figure("trainer", name, "ratio", ratios))
    return figures


def compare_steps(build: Callable[..., Any], loader: Resident, turns: int) -> list[float]:
    """Ratios of the Trainer's steps to bare ones; a turn has as many as are fetched at once."""
    from oneflow.optim.lr_scheduler import CosineAnnealingLR

    from engine.recorder import Recorder
    from engine.trainer import Trainer

    steps = 20
    images, labels = loader.batch
    criterion = runtime.flow.nn.CrossEntropyLoss()

    def build_both() -> tuple[Any, Any]:
        runtime.flow.manual_seed(0)
        model = build(num_classes=100)
        return model, runtime.flow.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    model, optimizer = build_both()

    def bare() -> None:
        for _ in range(steps):
            criterion(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    trained, its_optimizer = build_both()
    schedule = CosineAnnealingLR(its_optimizer, 10**6)
    loaders = dict.fromkeys(("train", "val", "test"), loader)
    never = dict.fromkeys(("stop_step", "eval_every", "checkpoint_every"), 10**9)
    with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder), 10**9, steps) as recorder:
        trainer = Trainer(trained, its_optimizer, schedule, loaders, recorder, **never)

        def harness() -> None:
            for _ in range(steps):
                trainer.train_step(images, labels)

        return in_turns(harness, bare, turns)


def measure_loader(turns: int = 7) -> list[Figure]:
    """Our loader, also with cutout, against flowvision's transforms in OneFlow's DataLoader."""
    from data import BatchLoader, Split

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 3, 32, 32), dtype="uint8")
    split = Split(images, random.integers(0, 100, len(images)))
    shared = {"seed": 0, "shuffle": True}
    crop_and_flip = {"crop_padding": 4, "flip": True}
    loaders = [
        BatchLoader(split, BATCH, PIXEL_MEAN, PIXEL_STD, augment=augment, **shared)
        for augment in (crop_and_flip, crop_and_flip | {"cutout": 16})
    ]
    reference = reference_loader(images[:1000], split.labels[:1000])

    def read(batches: Any, count: int) -> float:
        return count / seconds(lambda: [None for _ in batches])

    def turn() -> list[float]:
        ours = [read(loader.epoch(), len(images)) for loader in loaders]
        return [*ours, read(reference, 1000)]

    turn()
    plain, cutout, theirs = zip(*(turn() for _ in range(turns)), strict=True)
    return [
        figure("loader", "loader, crop and flip", "images/s", list(plain)),
        figure("loader", "loader, crop, flip and cutout", "images/s", list(cutout)),
        figure("loader", "flowvision + DataLoader", "images/s", list(theirs)),
        figure("loader", "loader / flowvision", "ratio", list(map(truediv, plain, theirs))),
    ]


def reference_loader(images: np.ndarray, labels: np.ndarray) -> Any:
    """The usual way: per image, PIL, flowvision's transforms and OneFlow's DataLoader."""
    from flowvision import transforms
    from oneflow.utils.data import DataLoader, Dataset
    from PIL import Image

    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(PIXEL_MEAN, PIXEL_STD),
        ]
    )

    class Images(Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.fromarray(images[index].transpose(1, 2, 0))), labels[index]

    return DataLoader(Images(), batch_size=BATCH, shuffle=True)


# Run in a process of its own, as the kernel is chosen when OneFlow is loaded.
BLAS_CHILD = """
import json, sys, time
import oneflow as flow
from models.convnet import convnet_tiny
from models.resnet import resnet20

def timed(action, repeats):
    action()
    flow._oneflow_internal.eager.Sync()
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    flow._oneflow_internal.eager.Sync()
    return (time.perf_counter() - start) / repeats

def step_of(model, batch):
    images, labels = flow.randn(batch, 3, 32, 32), flow.zeros(batch, dtype=flow.int64)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.01)
    def step():
        flow.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return step

a, b = flow.randn(1024, 1024), flow.randn(1024, 1024)
print(json.dumps({
    "matrix product, 1024 x 1024": timed(lambda: flow.matmul(a, b), 20),
    "step of convnet_tiny, batch 128": timed(step_of(convnet_tiny(num_classes=100), 128), 15),
    "step of ResNet-20, batch 32": timed(step_of(resnet20(num_classes=100), 32), 5),
}))
"""


def measure_blas(turns: int = 5) -> list[Figure]:
    """The kernel that OpenBLAS takes by itself against the AVX2 kernel of `engine.runtime`."""
    if not runtime.has_avx2():
        return []
    clean = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    clean |= runtime.ENVIRONMENT

    def child(**environment: str) -> dict[str, float]:
        command = [sys.executable, "-c", BLAS_CHILD]
        result = subprocess.run(command, env=clean | environment, capture_output=True, check=True)
        times: dict[str, float] = json.loads(result.stdout)
        return times

    pairs = [(child(), child(OPENBLAS_CORETYPE="Haswell")) for _ in range(turns)]
    return [
        figure("blas", f"own choice / AVX2: {name}", "ratio", [a[name] / b[name] for a, b in pairs])
        for name in pairs[0][0]
    ]


def measure_schedules(turns: int = 5) -> list[Figure]:
    """`trace_lr` over 100,000 steps for every shipped schedule; the slowest stands for all."""
    from omegaconf import OmegaConf

    from schedulers import Horizon, trace_lr

    horizon = Horizon(100_000, 391)
    slowest: tuple[float, str, list[float]] = (0.0, "", [])
    for path in sorted((CONF / "scheduler").glob("*.yaml")):
        node = OmegaConf.load(path)
        times = [seconds(lambda node=node: trace_lr(node, [0.1], horizon)) for _ in range(turns)]
        slowest = max(slowest, (statistics.median(times), path.stem, times))
    name = f"trace_lr, 100,000 steps, slowest of all ({slowest[1]})"
    return [figure("schedules", name, "s", slowest[2])]


def measure_checkpoint(turns: int = 15) -> list[Figure]:
    """Saving a ResNet-18 with momentum against a plain write and fsync of the same bytes."""
    from engine.checkpoint import write_checkpoint
    from models.resnet import resnet18

    flow = runtime.flow
    model = resnet18(num_classes=100)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(flow.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()  # makes the momentum
    rates = [[0.1]] * 10_000
    state = {"step": len(rates), "first_step": 0, "optimizer": optimizer.state_dict()}

    # Beside the runs, and not in /tmp, which may be no disk.
    with tempfile.TemporaryDirectory(dir=".", prefix=".benchmark_") as name:
        folder = Path(name)

        def save() -> Path:
            checkpoints = folder / "checkpoints"
            return write_checkpoint(checkpoints, model.state_dict(), rates, state, keep_last=1)

        contents = {path.name: path.read_bytes() for path in save().iterdir()}

        def plain() -> None:
            for file_name, content in contents.items():
                with (folder / file_name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())

        seconds(plain)
        pairs = [(seconds(save), seconds(plain)) for _ in range(turns)]
    size = sum(map(len, contents.values())) / 1e6
    return [
        figure("checkpoint", "save of ResNet-18 and momentum", "s", [pair[0] for pair in pairs]),
        figure("checkpoint", f"its {size:.0f} MB, write + fsync", "s", [pair[1] for pair in pairs]),
        figure("checkpoint", "save / write + fsync", "ratio", [a / b for a, b in pairs]),
    ]


SECTIONS: dict[str, Callable[[], list[Figure]]] = {
    "trainer": measure_trainer,
    "loader": measure_loader,
    "blas": measure_blas,
    "schedules": measure_schedules,
    "checkpoint": measure_checkpoint,
}


def main() -> None:
    """Measure the sections that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"), help="file to write")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {unknown[0]!r}: choose from {', '.join(SECTIONS)}")
    figures: list[Figure] = []
    print(f"{hardware()}, kernel {runtime.blas_kernel()}\n")
    print("| figure | median | lowest - highest | n |\n| --- | --- | --- | --- |")
    for name in arguments.sections or SECTIONS:
        for row in SECTIONS[name]():
            values = [f"{value:.4g}" for value in (row.median, row.low, row.high)]
            unit = "" if row.unit == "ratio" else f" {row.unit}"
            figures.append(row)
            print(f"| {row.name} | {values[0]}{unit} | {values[1]} - {values[2]} | {row.n} |")
    report = {"hardware": hardware(), "figures": [asdict(row) for row in figures]}
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
