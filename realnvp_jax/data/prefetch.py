"""Prefetching: the next batches are made and put on the devices while the devices work on the current one."""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


@contextlib.contextmanager
def prefetch(make: Callable[[S], T], items: Iterable[S], ahead: int = 2) -> Iterator[Iterator[T]]:
    """A context with an iterator over make(item) for each item; a thread makes up to `ahead` values in advance.

    Leaving the context waits for the value that is being made, and drops those that are waiting. An error in `make` is
    raised when the iterator reaches its value.
    """
    with ThreadPoolExecutor(1) as pool:
        left = iter(items)
        waiting = deque(pool.submit(make, item) for item in itertools.islice(left, ahead))

        def values() -> Iterator[T]:
            while waiting:
                future = waiting.popleft()
                waiting.extend(pool.submit(make, item) for item in itertools.islice(left, 1))
                yield future.result()

        try:
            yield values()
        finally:
            for future in waiting:
                future.cancel()
