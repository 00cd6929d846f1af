"""List the nets of conf/model/: parameters, work per image, paper.

    python -m scripts.models                  # all
    python -m scripts.models resnet18 vgg16_bn

Parameters are those for 100 classes. Multiply-adds are those of the convolutions and linear layers
for one image of 32 x 32, counted while it goes through: per output number as many as weights meet
there. Not counted: normalizations, activations, additions, and the products of two activations
(softmax(q k^T) v in a transformer). An update of the weights takes about 3 times as many.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from runs.command_line import CONF

NUM_CLASSES = 100
SIZE = 32


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    name: str
    parameters: int
    multiply_adds: int
    paper: str

    def __str__(self) -> str:
        millions = self.multiply_adds / 1e6
        return f"{self.name:<18}{self.parameters:>11,}{millions:>9,.1f}  {self.paper}".rstrip()


HEADING = f"{'model':<18}{'parameters':>11}{'madds, M':>9}  arXiv"
FOOTNOTE = (
    "Parameters for 100 classes. madds, M: millions of multiply-adds of the\n"
    "convolutions and linear layers for one image of 32 x 32."
)


def find_files(names: list[str]) -> list[Path]:
    """The files of conf/model/ with these names, or all.

    Raises:
        ValueError: there is no such file; names the nearest.
    """
    files = {path.stem: path for path in sorted((CONF / "model").glob("*.yaml"))}
    for name in names:
        if name not in files:
            near = difflib.get_close_matches(name, files, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f"{name!r} is no file of conf/model/.{hint}")
    return [files[name] for name in names or files]


def read_paper(header: str) -> str:
    """ArXiv number, authors and year, from the second line of a file; "no paper" where it has none.

    >>> read_paper('# A net.\\n# Lin et al. 2014, "Network in Network", arXiv 1312.4400, table 1.')
    '1312.4400  Lin et al. 2014'
    >>> read_paper('# A net.\\n# 419,844 parameters for 100 classes.')
    'no paper'
    """
    second = header.splitlines()[1]
    who = re.match(r"# ([^\"]+? \d{4}), \"", second)
    arxiv = re.search(r"arXiv (\d{4}\.\d{4,5})", second)
    return f"{arxiv[1] if arxiv else '':<10} {who[1]}" if who else "no paper"


def build_net(path: Path) -> Any:
    """The net of a file, for 100 classes."""
    import engine  # noqa: F401  (prepares the process for OneFlow)

    config = {"dataset": {"num_classes": NUM_CLASSES}, "model": OmegaConf.load(path)}
    return hydra.utils.instantiate(OmegaConf.create(config).model)


def count_multiply_adds(net: Any) -> int:
    """Multiply-adds of the convolutions and linear layers for one image of 32 x 32."""
    import oneflow as flow
    from oneflow import nn

    counts: list[int] = []

    def count(module: Any, _: Any, out: Any) -> None:
        # A weight of a row or filter meets one number for each output of it.
        counts.append(out.numel() * module.weight[0].numel())

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    net.eval()
    with flow.no_grad():
        net(flow.zeros(1, 3, SIZE, SIZE))
    return sum(counts)


def list_models(files: list[Path]) -> Iterator[Row]:
    """A row for each file."""
    for path in files:
        net = build_net(path)
        parameters = sum(parameter.numel() for parameter in net.parameters())
        yield Row(path.stem, parameters, count_multiply_adds(net), read_paper(path.read_text()))


def main() -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="files of conf/model/; none: all of them")
    try:
        files = find_files(parser.parse_args().names)
        print(HEADING)
        for row in list_models(files):
            print(row, flush=True)
        print(FOOTNOTE)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
