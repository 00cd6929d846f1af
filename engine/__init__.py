"""The training engine. Importing it prepares the process for OneFlow, whatever is imported next."""

from engine import runtime as runtime
