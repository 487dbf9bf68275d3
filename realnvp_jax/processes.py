"""Programs of several processes, which `jax.distributed` connects: who does what, and how all of them agree.

Process 0 is the main process: it alone owns the files of a run. What it reads from them, and every error, reaches the
others through collectives, so that all processes take the same path. With a single process, everything here calls its
function and nothing else. All processes have to make these calls in the same order.
"""

import contextlib
import functools
import json
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from realnvp_jax.text import sentence, shorten

T = TypeVar("T")

_CHUNK = 2**26  # bytes that are broadcast at a time
_nested = False  # whether a function runs that only the main process calls


def is_main() -> bool:
    """Whether this is the main process."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def meet() -> None:
    """Wait for all processes.

    They should meet early: the first collective, unlike later ones, fails if a process is half a minute late.
    """
    if jax.process_count() > 1:
        on_main(lambda: None)
        maximum(0).block_until_ready()


@contextlib.contextmanager
def silent_unless_main() -> Iterator[None]:
    """Within this context, only the main process prints."""
    if is_main():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def on_main(function: Callable[[], T]) -> T:
    """Call a function in the main process, and return its value, or raise its error, in every process.

    Calls within the function are not collective: there, `on_main` only calls its function.

    Args:
      function: what to do; its value must be picklable. In the other processes, its arrays are on one device.
    """
    global _nested
    if jax.process_count() == 1 or _nested:
        return function()
    outcome = b""
    if is_main():
        _nested = True
        try:
            value = function()
            outcome = pickle.dumps((value, None))
        except Exception as error:
            _broadcast(_pickled_error(error))
            raise
        finally:
            _nested = False
        _broadcast(outcome)
        return value
    value, error = pickle.loads(_broadcast(outcome))
    if error is not None:
        raise error
    return value


def everywhere(function: Callable[[], T]) -> T:
    """Call a function in every process and return its value; if it fails in any of them, all raise.

    Raises:
      ValueError: the function failed in another process; the message names the process and gives its sentence.
    """
    if jax.process_count() == 1:
        return function()
    value, error = None, None
    try:
        value = function()
    except Exception as caught:
        error = caught
    sentences = gather("" if error is None else sentence(error) or type(error).__name__)
    if error is not None:
        raise error
    for number, text in enumerate(sentences):
        if text:
            raise ValueError(f"process {number}: {text}")
    return value  # type: ignore[return-value]


def gather(text: str) -> list[str]:
    """The texts of all processes, in order."""
    if jax.process_count() == 1:
        return [text]
    content = text.encode(errors="backslashreplace")
    lengths = multihost_utils.process_allgather(np.int32(len(content)))
    padded = np.frombuffer(content.ljust(_padded(int(lengths.max())), b"\0"), np.uint8)
    rows = multihost_utils.process_allgather(padded)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def check_equal(values: dict[str, str], remedy: str) -> None:
    """Raise ValueError in every process unless all have the same values.

    Args:
      values: what to compare, as name -> value.
      remedy: what to do about a difference, for the message.
    """
    first, *others = (json.loads(text) for text in gather(json.dumps(values)))
    for number, other in enumerate(others, 1):
        different = next((name for name in {**first, **other} if first.get(name) != other.get(name)), None)
        if different is not None:
            raise ValueError(
                f"expected the same {different} in every process; got {shorten(first.get(different))} in process 0 and "
                f"{shorten(other.get(different))} in process {number}: {remedy}"
            )


def maximum(number: int) -> jax.Array:
    """The largest of the numbers that the processes give, as an array that is ready once all have given theirs."""
    return _maximum()(np.full(jax.local_device_count(), number, np.int32))


@functools.cache
def _maximum() -> Callable[[Any], jax.Array]:
    return jax.pmap(lambda value: jax.lax.pmax(value, "devices"), "devices", out_axes=None)


def _broadcast(content: bytes) -> bytes:
    """The content that the main process gives."""
    chunks, rest = divmod(len(content), _CHUNK)
    chunks, rest = (int(n) for n in multihost_utils.broadcast_one_to_all(np.array([chunks, rest], np.int32)))
    received = []
    for i in range(chunks + 1):
        size = _CHUNK if i < chunks else rest
        part = content[i * _CHUNK : i * _CHUNK + size].ljust(_padded(size), b"\0")
        received.append(multihost_utils.broadcast_one_to_all(np.frombuffer(part, np.uint8))[:size].tobytes())
    return b"".join(received)


def _padded(size: int) -> int:
    """The next power of two, so that few programs are compiled."""
    return 1 << max(size - 1, 15).bit_length()


def _pickled_error(error: Exception) -> bytes:
    try:
        content = pickle.dumps((None, error))
        pickle.loads(content)
        return content
    except Exception:  # an error whose class cannot be pickled
        return pickle.dumps((None, ValueError(sentence(error))))
