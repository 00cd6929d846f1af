"""What every package may use: checks of values, and files. The standard library alone."""
