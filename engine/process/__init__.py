"""The process around a training: set up OneFlow, machine, ranks, signals."""
