"""A progress bar of a compiled loop."""

import functools

import jax
from jaxtyping import Array, Int
from tqdm import tqdm

_REPORTS = 100  # at most, of one loop

_bars: dict[str, tqdm] = {}


def report_progress(what: str, k: Int[Array, ""], total: int) -> None:
    """Show, from inside of a compiled loop, how many of its steps are done; nothing outside of a terminal.

    Args:
      what: what the loop does, such as "sampling".
      k: the step, 0 ... total - 1; the bar appears with the first and goes away with the last.
      total: number of steps.
    """
    every = -(-total // _REPORTS)
    jax.lax.cond(
        (k % every == 0) | (k == total - 1),
        lambda: jax.debug.callback(functools.partial(_show, what, total), k),
        lambda: None,
    )


def _show(what: str, total: int, k) -> None:
    if k == 0:
        if what in _bars:  # of a loop that was interrupted
            _bars[what].close()
        _bars[what] = tqdm(total=total, desc=what, leave=False, disable=None)
    bar = _bars.get(what)
    if bar is None:  # several devices report; another one has been here last
        return
    bar.update(max(int(k) + 1 - bar.n, 0))
    if k == total - 1:
        _bars.pop(what).close()
