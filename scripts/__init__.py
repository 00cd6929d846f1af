"""Programs around training; each is run as `python -m scripts.NAME`."""
