"""`python -m scripts.recipes`."""
