"""One training run that notes when each phase of it ended, and how much memory it then held.

    python -m scripts.benchmark.phases BEGUN until_first_step|until_the_end KEY=VALUE...

The benchmark starts it as a process of its own. BEGUN is when that was, in seconds since 1970. The
last line of its output is a JSON object: `phases`, each [name, seconds since BEGUN, memory now, the
most so far, processor time], and `samples`, [step, memory] every 50 steps. Memory is the resident
set in KiB.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

SAMPLE_EVERY = 50  # steps


def memory() -> tuple[int, int]:
    """The resident set of this process and the largest that it ever was, in KiB."""
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0])


class Watch:
    """Notes phases and samples.

    Args:
        begun: when the process was started, in seconds since 1970.
        ends: whether the process ends with its first step.
    """

    def __init__(self, begun: float, ends: bool) -> None:
        self.begun = begun
        self.ends = ends
        self.phases: list[tuple[str, float, int, int, float]] = []
        self.samples: list[tuple[int, int]] = []
        self.steps = 0

    def note(self, name: str) -> None:
        """A phase is over; only its first end counts."""
        if name not in [phase[0] for phase in self.phases]:
            processor = time.process_time()
            self.phases.append((name, time.time() - self.begun, *memory(), processor))

    def after(self, owner: Any, name: str, phase: str) -> None:
        """Note a phase whenever this function returns."""
        self.wrap(owner, name, lambda: None, lambda: self.note(phase))

    def wrap(
        self, owner: Any, name: str, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        """Call something before and after a function."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            before()
            try:
                return function(*args, **kwargs)
            finally:
                after()

        setattr(owner, name, wrapped)

    def step(self) -> None:
        """A training step has been made."""
        if self.steps == 0:
            from oneflow import _oneflow_internal

            _oneflow_internal.eager.Sync()
            self.note("first step")
            if self.ends:
                self.tell()
                os._exit(0)
        if self.steps % SAMPLE_EVERY == 0:
            self.samples.append((self.steps, memory()[0]))
        self.steps += 1

    def tell(self) -> None:
        """Print what was noted."""
        print(json.dumps({"phases": self.phases, "samples": self.samples}), flush=True)


def follow(watch: Watch) -> None:
    """Watch the parts of a run; OneFlow has been imported."""
    import data
    import train
    from engine.trainer import Trainer

    start = "checks of the config and the schedule"
    watch.wrap(train, "build_trainer", lambda: watch.note(start), lambda: None)
    net = "net, optimizer, schedule"
    watch.wrap(data, "build_dataset", lambda: watch.note(net), lambda: watch.note("data"))
    batch = "loaders, recorder, first batch"
    watch.wrap(Trainer, "train_step", lambda: watch.note(batch), watch.step)
    if not watch.ends:
        before = "training to the first evaluation"
        watch.wrap(
            Trainer, "evaluate", lambda: watch.note(before), lambda: watch.note("evaluation")
        )
        watch.after(Trainer, "save", "checkpoint")


def main() -> None:
    """Train as `python train.py KEY=VALUE...`, watched."""
    begun, until, *words = sys.argv[1:]
    watch = Watch(float(begun), until == "until_first_step")
    watch.note("Python")
    sys.argv[1:] = words
    import train
    from runs.command_line import run_command

    watch.note("Hydra and this project's own modules")

    def task(config: Any) -> None:
        watch.note("config")
        import engine  # noqa: F401

        watch.note("OneFlow")
        follow(watch)
        train.train(config)
        watch.note("the rest")
        watch.tell()

    run_command(task)


if __name__ == "__main__":
    main()
