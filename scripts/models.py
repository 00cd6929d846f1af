"""List the models of conf/model/: parameters, work per image, paper.

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
import re
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from common.checks import suggest
from runs.command_line import CONF, one_sentence

ROW = "{:<18}{:>11}{:>9}  {}"
FOOTNOTE = """Parameters for 100 classes. madds, M: millions of multiply-adds of the
convolutions and linear layers for one image of 32 x 32."""


def find_files(names: list[str]) -> list[Path]:
    """Return the files of conf/model/ with these names, or all; refuse an unknown name."""
    files = {path.stem: path for path in sorted((CONF / "model").glob("*.yaml"))}
    for name in names:
        if name not in files:
            raise ValueError(f"{name!r} is no file of conf/model/.{suggest(name, files)}")
    return [files[name] for name in names or files]


def read_paper(header: str) -> str:
    """Return arXiv number, authors and year from the second line of a file, or "no paper".

    >>> read_paper('# A net.\\n# Lin et al. 2014, "Network in Network", arXiv 1312.4400, table 1.')
    '1312.4400  Lin et al. 2014'
    >>> read_paper('# A net.\\n# 419,844 parameters for 100 classes.')
    'no paper'
    """
    second = header.splitlines()[1]
    who = re.match(r"# ([^\"]+? \d{4}), \"", second)
    arxiv = re.search(r"arXiv (\d{4}\.\d{4,5})", second)
    return f"{arxiv[1] if arxiv else '':<10} {who[1]}" if who else "no paper"


def count_multiply_adds(model: Any) -> int:
    """Return the multiply-adds of convolutions and linear layers for one image of 32 x 32."""
    import oneflow as flow
    from oneflow import nn

    counts: list[int] = []

    def count(module: Any, _: Any, out: Any) -> None:
        # Each output number takes one multiply-add per weight of its row or filter.
        counts.append(out.numel() * module.weight[0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with flow.no_grad():
        model.eval()(flow.zeros(1, 3, 32, 32))
    return sum(counts)


def describe(path: Path) -> str:
    """Return the line of a file of conf/model/."""
    import engine  # noqa: F401  (prepares the process for OneFlow)

    config = {"dataset": {"num_classes": 100}, "model": OmegaConf.load(path)}
    model = hydra.utils.instantiate(OmegaConf.create(config).model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    millions = count_multiply_adds(model) / 1e6
    return ROW.format(
        path.stem, f"{parameters:,}", f"{millions:,.1f}", read_paper(path.read_text())
    )


def main(words: list[str] | None = None) -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="files of conf/model/; none: all of them")
    with one_sentence((ValueError, OSError)):
        files = find_files(parser.parse_args(words).names)
        print(ROW.format("model", "parameters", "madds, M", "arXiv"))
        for path in files:
            print(describe(path), flush=True)
        print(FOOTNOTE)


if __name__ == "__main__":
    main()
