"""One run, from the command line to its folder.

Importing this ends the program with one sentence where the Python in use lacks a package.
"""

import sys
from importlib.util import find_spec

_PACKAGES = ("hydra", "omegaconf", "numpy", "tensorboardX", "tqdm", "safetensors", "oneflow")

for _package in _PACKAGES:
    if find_spec(_package) is None:
        sys.exit(
            f"error: package {_package!r} is missing from this Python. To fix it, run: "
            f"{sys.executable} -m scripts.doctor"
        )
