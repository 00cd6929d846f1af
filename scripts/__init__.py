"""Programs around training; each is run as `python -m scripts.NAME`.

Importing this needs no package and any Python from 3.8 on: it is what tells a person that the
Python in use is not the one that has the packages.
"""

from __future__ import annotations

import sys
from types import TracebackType

OURS = ("data", "engine", "models", "schedulers", "scripts", "tests", "train")


def tell_missing(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say in a sentence that a package is not installed; show other errors as Python does."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name in ("", *OURS):
        sys.__excepthook__(kind, error, trace)
        return
    print(
        f"error: {sys.executable} has no package {name}. What to type is said by\n"
        f"{sys.executable} -m scripts.doctor",
        file=sys.stderr,
    )


sys.excepthook = tell_missing
