"""Prepare the next results in a thread while the caller works with one."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(make: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """Yield make(item) of each item, in order, with up to `ahead` of them made in advance.

    They are made by one thread. It ends with the iterator: at the last item, at an exception (of
    `make`, which the caller gets when its turn comes, or of the caller), and when the iterator is
    dropped halfway.

    Args:
        make: called in the thread, with one item after the other.
        items: taken in the thread of the caller.
        ahead: 0: no thread, each result is made when it is asked for.

    >>> list(prefetch(str, [1, 2, 3], ahead=2))
    ['1', '2', '3']
    """
    if not ahead:
        yield from map(make, items)
        return
    rest, process = iter(items), os.getpid()
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    waiting: deque[tuple[Item, Future[Result]]] = deque()

    def submit(count: int) -> None:
        waiting.extend((item, pool.submit(make, item)) for item in islice(rest, count))

    try:
        submit(ahead)
        while waiting:
            item, future = waiting.popleft()
            # The child of a fork has not got the thread, and would wait for it for ever.
            result = future.result() if os.getpid() == process else make(item)
            submit(1)
            yield result
    finally:
        if os.getpid() == process:
            pool.shutdown(cancel_futures=True)
