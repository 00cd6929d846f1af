"""OpenBLAS's default kernel against the AVX2 kernel that `engine.process.runtime` chooses."""

import sys

from engine.process import runtime  # before anything that imports OneFlow
from scripts.benchmark.measure import Figure, Options, figure, run_child

# Run in a process of its own: the kernel is chosen when OneFlow is loaded.
CHILD = """
import json, time
import oneflow as flow
a, b = flow.randn(1024, 1024), flow.randn(1024, 1024)
times = []
for _ in range(21):
    start = time.perf_counter()
    flow.matmul(a, b).numpy()
    times.append(time.perf_counter() - start)
print(json.dumps({"seconds": sum(times[1:])}))
"""


def measure(options: Options) -> list[Figure]:
    """Return the ratio of the times of a matrix product; nothing without AVX2."""
    if not runtime.has_avx2():
        return []

    def multiply(**kernel: str) -> float:
        command = [sys.executable, "-c", CHILD]
        return float(run_child(command, **runtime.ENVIRONMENT, **kernel)["seconds"])

    ratios = [multiply() / multiply(OPENBLAS_CORETYPE="Haswell") for _ in range(options.turns(5))]
    name = "matrix product, 1024 x 1024: default kernel / AVX2"
    return [figure("blas", name, "ratio", ratios)]
