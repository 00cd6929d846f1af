"""The kernel that OpenBLAS takes by itself against the AVX2 kernel of `engine.process.runtime`."""

import sys

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, run_child

# Run in a process of its own, as the kernel is chosen when OneFlow is loaded.
CHILD = """
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


def measure(options: Options) -> list[Figure]:
    """Ratios of the times of a matrix product and of two nets' steps."""
    if not runtime.has_avx2():
        return []

    def child(kernel: str) -> dict[str, float]:
        choice = {"OPENBLAS_CORETYPE": kernel} if kernel else {}
        return run_child([sys.executable, "-c", CHILD], **runtime.ENVIRONMENT, **choice)

    pairs = [(child(""), child("Haswell")) for _ in range(options.turns(5))]
    return [
        figure("blas", f"own choice / AVX2: {name}", "ratio", [a[name] / b[name] for a, b in pairs])
        for name in pairs[0][0]
    ]
