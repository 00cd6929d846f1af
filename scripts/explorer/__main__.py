"""Serve the page of schedules: python -m scripts.explorer --port 8501."""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import argparse
import gc
import sys
from pathlib import Path


def main() -> None:
    """Serve the page."""
    parser = argparse.ArgumentParser("scripts.explorer", description=__doc__)
    parser.add_argument("--port", type=int, default=8501, help="default: %(default)s")
    parser.add_argument("--address", default="127.0.0.1", help="default: %(default)s, this machine")
    given = parser.parse_args()
    from streamlit.web import bootstrap

    from scripts.explorer import page  # noqa: F401  (OneFlow is imported once, before any visitor)

    gc.collect()
    gc.freeze()  # the collector need not look at what the libraries made: some tenths of a second
    sys.setswitchinterval(0.0005)  # the thread that sends waits less for those that compute
    flags = {"server_port": given.port, "server_address": given.address}
    bootstrap.load_config_options(flags)
    bootstrap.run(str(Path(__file__).with_name("page.py")), False, [], flags)


if __name__ == "__main__":
    main()
