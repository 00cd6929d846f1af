"""`python -m scripts.lr_range_test`."""
