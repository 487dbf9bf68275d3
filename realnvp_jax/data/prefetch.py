"""Work done in advance: the next batches are made and put on the devices while the current one is computed with."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def prefetch(make: Callable[[int], T], first: int, stop: int, ahead: int = 2) -> Iterator[Iterator[T]]:
    """An iterator over make(first) ... make(stop - 1), which a thread makes up to `ahead` before they are asked for.

    It is closed with the context: what the thread is making is finished, what is waiting is dropped. An error of `make`
    is raised when its value is asked for.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(make, number) for number in range(first, min(first + ahead, stop)))

        def values() -> Iterator[T]:
            for number in range(first + ahead, stop + ahead):
                future = waiting.popleft()
                if number < stop:
                    waiting.append(pool.submit(make, number))
                yield future.result()

        try:
            yield values()
        finally:
            for future in waiting:
                future.cancel()
