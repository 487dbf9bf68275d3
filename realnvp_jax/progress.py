"""A progress bar of a compiled loop."""

import functools

import jax
from jaxtyping import Array, Int
from tqdm import tqdm

_REPORTS = 100  # updates of the bar, at most, per loop

_bars: dict[str, tqdm] = {}


def report_progress(what: str, k: Int[Array, ""], total: int) -> None:
    """Show, from inside a compiled loop, how many of its steps are done; outside of a terminal, show nothing.

    Args:
      what: what the loop does, such as "sampling".
      k: the step, 0 ... total - 1; the bar appears at the first step and disappears at the last.
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
        if what in _bars:  # left over from an interrupted loop
            _bars[what].close()
        _bars[what] = tqdm(total=total, desc=what, leave=False, disable=None)
    bar = _bars.get(what)
    if bar is None:  # several devices report; another one closed the bar
        return
    bar.update(max(int(k) + 1 - bar.n, 0))
    if k == total - 1:
        _bars.pop(what).close()
