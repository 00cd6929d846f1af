"""The sections of `python -m scripts.benchmark`, a module each: `measure` returns figures."""
