"""Programs around training; each is run as `python -m scripts.NAME`.

Importing this needs no package and any Python from 3.8 on: it is what tells a person that the
Python in use is not the one that has the packages.
"""

from __future__ import annotations

import sys
from types import TracebackType

OURS = ("common", "data", "engine", "models", "plots", "runs", "schedulers", "scripts", "tests")


def tell_missing(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say in a sentence that a package is not installed; show other errors as Python does."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name in ("", *OURS):
        sys.__excepthook__(kind, error, trace)
        return
    print(
        f"error: package {name!r} is missing from this Python. To fix it, run: "
        f"{sys.executable} -m scripts.doctor",
        file=sys.stderr,
    )


sys.excepthook = tell_missing
