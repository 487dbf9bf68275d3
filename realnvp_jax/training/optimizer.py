"""Optimizer, learning-rate schedule and the authors' L2 penalty (Section 4.1 of the paper)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

SCHEDULES = ("constant", "cosine")
OPTIMIZERS = ("adam", "sgd")


def learning_rate_schedule(
    learning_rate: float, name: str = "constant", warmup_steps: int = 0, decay_steps: int = 0
) -> optax.Schedule:
    """Linear warm-up from 0 over `warmup_steps`, then constant, or a cosine that reaches 0 at `decay_steps`.

    Raises:
      ValueError: the name is unknown, or a cosine has no steps to decay over.
    """
    if name not in SCHEDULES:
        raise ValueError(f"expected schedule.name to be one of {SCHEDULES}; got {name!r}")
    if name == "cosine":
        if decay_steps <= warmup_steps:
            raise ValueError(
                f"expected schedule.decay_steps above schedule.warmup_steps={warmup_steps}; got {decay_steps}"
            )
        main = optax.cosine_decay_schedule(learning_rate, decay_steps - warmup_steps)
    else:
        main = optax.constant_schedule(learning_rate)
    if warmup_steps == 0:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup_steps), main], [warmup_steps])


def create_optimizer(
    schedule: optax.ScalarOrSchedule,
    name: str = "adam",
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    clip_norm: float = 100.0,
    *,
    flat: bool = False,
) -> optax.GradientTransformation:
    """Clipping of the global gradient norm (0 for none), then Adam or plain gradient descent.

    With `flat` its state and its arithmetic are on one vector of all parameters, which compiles faster.

    Raises:
      ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"expected optimizer.name to be one of {OPTIMIZERS}; got {name!r}")
    update = optax.adam(schedule, b1=beta1, b2=beta2, eps=epsilon) if name == "adam" else optax.sgd(schedule)
    if clip_norm:
        update = optax.chain(optax.clip_by_global_norm(clip_norm), update)
    return optax.flatten(update) if flat else update


def global_norm(tree: Any) -> jax.Array:
    """Euclidean norm of all leaves together, as one reduction."""
    return jnp.linalg.norm(ravel_pytree(tree)[0])


def l2_penalty(trainable: Any) -> jax.Array:
    """Sum of squares of what the authors regularise: weight-norm gains and checkerboard couplings' scales.

    The scales of channel-wise couplings, which start at 1, are left alone.
    """
    leaves = jax.tree_util.tree_leaves_with_path(trainable)
    squares = [jnp.sum(jnp.square(leaf)) for path, leaf in leaves if _is_regularized(path)]
    return sum(squares, jnp.zeros(()))


def _is_regularized(path: tuple[Any, ...]) -> bool:
    names = [str(getattr(entry, "key", entry)) for entry in path]
    in_checkerboard = any(name.startswith("checkerboard") for name in names)
    return names[-1] == "gain" or (names[-1] == "scale" and in_checkerboard)
