"""The parts of `python -m scripts.compare`. They read files only: no OneFlow, no engine."""
