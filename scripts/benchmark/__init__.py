"""The parts of `python -m scripts.benchmark`."""
