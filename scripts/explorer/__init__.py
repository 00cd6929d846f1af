"""`python -m scripts.explorer`."""
