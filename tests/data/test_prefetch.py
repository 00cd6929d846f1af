"""The thread that works ahead: same results, no thread left, exceptions reach the caller."""

import os
import subprocess
import sys
import threading

import pytest

from data.prefetch import prefetch
from tests.conftest import ROOT


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("ahead", [0, 1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_results_come_in_order_and_no_thread_is_left(ahead, count):
    assert list(prefetch(lambda x: x * x, range(count), ahead)) == [x * x for x in range(count)]
    assert threads() == []


@pytest.mark.parametrize("ahead", [1, 2])
def test_works_ahead_while_the_caller_is_busy_and_no_further(ahead):
    made = [threading.Event() for _ in range(10)]
    results = prefetch(lambda x: made[x].set(), range(10), ahead)
    next(results)
    assert made[ahead].wait(10)  # would never come without a thread
    assert not any(event.is_set() for event in made[ahead + 1 :])
    results.close()


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_exceptions_come_when_it_is_their_turn(ahead):
    results = prefetch(lambda x: 6 // (2 - x), range(5), ahead)
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threads() == []
    assert list(results) == []


def test_dropped_halfway():
    results = prefetch(str, range(100), 2)
    assert next(results) == "0" and len(threads()) == 1
    del results
    assert threads() == []


def test_caller_is_interrupted():
    class Stop(BaseException):
        pass

    def work():
        for _ in prefetch(str, range(100), 2):
            raise Stop

    with pytest.raises(Stop) as caught:
        work()
    del caught
    assert threads() == []


PROGRAM = """
import runpy, sys
prefetch = runpy.run_path("data/prefetch.py")["prefetch"]
results = prefetch(str, range(10**9), 2)
next(results)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise KeyboardInterrupt", -2), ("1 / 0", 1)],
)
def test_a_program_that_ends_halfway_ends(end, code):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)], cwd=ROOT, timeout=60, capture_output=True
    )
    assert result.returncode == code


@pytest.mark.parametrize("continues", [False, True])
def test_a_forked_child_has_what_its_parent_has(continues):
    """A child has no thread of its parent: it must neither wait for it nor for its results."""
    list(prefetch(str, range(3), 1))
    results = prefetch(str, range(6), 2)
    assert next(results) == "0"
    child = os.fork()
    if not child:
        found = list(results) if continues else list(prefetch(str, range(1, 6), 2))
        os._exit(0 if found == ["1", "2", "3", "4", "5"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(results) == ["1", "2", "3", "4", "5"]
