"""What `scripts.doctor` asks with OneFlow in the process; prints one finding per line, as JSON.

It starts as a training does and calls what a training calls, so the sentences are the training's.
"""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from engine.process import runtime  # isort: skip  (it prepares the process for OneFlow, which data imports)
from common.files import is_writable
from data import build_dataset
from data.cifar import CIFAR10, CIFAR100, find_source
from runs.command_line import CONF, MISTAKES, explain
from scripts.doctor import START, Finding, check_gpu

# OpenBLAS's kernel sets that use AVX2 or more.
FAST_KERNELS = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}


def check_kernel(kernel: str) -> Finding:
    """Which kernels OneFlow's matrix products use."""
    if kernel in FAST_KERNELS:
        return Finding("ok", "BLAS kernel", kernel)
    if runtime.has_avx2():
        text = f"{kernel}, for OPENBLAS_CORETYPE is set: without it matrix products are faster"
        return Finding("note", "BLAS kernel", text, "unset OPENBLAS_CORETYPE")
    return Finding("note", "BLAS kernel", f"{kernel}: this processor has no AVX2, training is slow")


def check_flowvision() -> Finding:
    """Whether flowvision, which some nets come from, can be imported."""
    try:
        import flowvision
    except Exception as error:
        text = f"it cannot be imported ({str(error).splitlines()[0]}): only its own nets need it"
        return Finding("note", "flowvision import", text)
    return Finding(
        "ok", "flowvision import", f"{len(flowvision.models.ModelCreator.model_list())} nets"
    )


def gpu_problem() -> str | None:
    """What OneFlow says of the GPU, after one sum on it."""
    try:
        runtime.flow.ones(2, device=runtime.choose_device("cuda")).sum().item()
    except (ValueError, RuntimeError) as error:
        return str(error).removeprefix("device=cuda cannot be used: ").rstrip(".")
    return None


def check_data(node: Any) -> Finding:
    """The data set of this config: read and checked as a run does it, but not downloaded."""
    folder = Path(str(node.get("root"))).expanduser()
    fetched = node.get("download") is True and folder.is_dir() and is_writable(folder)
    try:
        dataset = build_dataset({**node, "download": False} if fetched else node)
    except FileNotFoundError as error:
        if not fetched:
            return Finding("mend", "data set", str(error))
        return Finding("note", "data set", f"{error} Or let the first run download it")
    except (ValueError, OSError) as error:
        return Finding("mend", "data set", str(error))
    sizes = [f"{len(split.labels):,}" for split in (dataset.train, dataset.val, dataset.test)]
    told = f"{' + '.join(sizes)} images, {name_source(node, folder)}"
    return Finding("ok", "data set", told)


def name_source(node: Any, folder: Path) -> str:
    """Where a data set is from: the archive or folder, if it is a CIFAR."""
    for layout in (CIFAR100, CIFAR10):
        if node["_target_"] == f"data.cifar.build_{layout.key}":
            source = find_source(layout, folder)
            return f"{layout.name} from {source}, all checks passed" if source else ""
    return f"of {node['_target_']}"


def look(words: list[str]) -> Iterator[Finding]:
    """Every finding; importing this module was the first."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = compose("config", words)
    yield Finding("ok", START, f"{runtime.flow.__version__}, as a training starts it")
    yield check_flowvision()
    yield check_kernel(runtime.blas_kernel())
    yield check_gpu(config.device == "cuda", gpu_problem())
    yield check_data(config.dataset)


def main() -> None:
    """Print each finding as soon as it is there: a crash then loses no other."""
    logging.basicConfig(level=logging.ERROR)
    try:
        for finding in look(sys.argv[1:]):
            print(json.dumps(finding), flush=True)
    except MISTAKES as error:
        sys.exit(f"error: {explain(error)}")


if __name__ == "__main__":
    main()
