"""The training engine. Importing it prepares the process for OneFlow, whatever is imported next."""

from engine.process import runtime as runtime
