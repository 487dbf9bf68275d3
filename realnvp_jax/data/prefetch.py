"""Work done in advance: the next batches are made and put on the devices while the current one is computed with."""

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
    """An iterator over make(item) of each item, which a thread makes up to `ahead` before they are asked for.

    It is closed with the context: what the thread is making is finished, what is waiting is dropped. An error of `make`
    is raised when its value is asked for.
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
