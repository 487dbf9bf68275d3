"""Muon's update of kernels, and how it is combined with another optimizer.

A kernel W [rows, columns, inputs, features] is the matrix [rows * columns * inputs, features]. From its gradients G,

    M = momentum M + (1 - momentum) G,    W = W - learning_rate * rms * sqrt(max(shape of the matrix)) * orthogonal(M),

with Nesterov's momentum, where orthogonal(M) is nearly U V^T, of the singular value decomposition M = U S V^T.
"""

import math
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax
import optax.contrib

Kernels = tuple[tuple[str, int], ...]  # path, and number of axes without those of the loops over layers


def orthogonalized_momentum(
    schedule: optax.ScalarOrSchedule, momentum: float, rms: float
) -> optax.GradientTransformation:
    """Muon for arrays [n, rows, columns], each of n matrices.

    The five Newton-Schulz iterations have the precision of the gradients, float32, which on GPUs and TPUs means that
    products are rounded as in the rest of a training step.

    Args:
      schedule: the learning rate.
      momentum: decay of the mean of the gradients.
      rms: root mean square of an update, in learning rates.
    """
    axes = optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
    orthogonalize = optax.contrib.scale_by_muon(
        beta=momentum, weight_dimension_numbers=lambda matrices: jax.tree.map(lambda _: axes, matrices)
    )
    scale = optax.stateless(
        lambda updates, _: jax.tree.map(lambda leaf: rms * math.sqrt(max(leaf.shape[1:])) * leaf, updates)
    )
    return optax.chain(orthogonalize, scale, optax.scale_by_learning_rate(schedule))


def for_kernels(
    kernels: Kernels, matrices: optax.GradientTransformation, others: optax.GradientTransformation
) -> optax.GradientTransformation:
    """One transformation for the kernels, as matrices, and another for all other parameters.

    Kernels of the same shape, those of loops over layers included, are a single array [n, rows, columns], which
    compiles faster.

    Args:
      kernels: which parameters are kernels.
      matrices: transformation of a dict of arrays [n, rows, columns].
      others: transformation of a dict of the other parameters.
    """

    def split(tree: Any) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        flat: dict[str, Any] = flax.traverse_util.flatten_dict(tree, sep="/")
        groups: dict[str, list[jax.Array]] = {}
        for path, rank in kernels:
            rows, columns = _matrix_shape(flat[path], rank)
            groups.setdefault(f"{rows}x{columns}", []).append(flat.pop(path).reshape(-1, rows, columns))
        return {shape: jnp.concatenate(group) for shape, group in groups.items()}, flat

    def join(groups: Any, flat: Any, like: Any) -> Any:
        shapes: dict[str, Any] = flax.traverse_util.flatten_dict(like, sep="/")
        joined, taken = dict(flat), dict.fromkeys(groups, 0)
        for path, rank in kernels:
            rows, columns = _matrix_shape(shapes[path], rank)
            shape, count = f"{rows}x{columns}", shapes[path].size // (rows * columns)
            first = taken[shape]
            joined[path] = groups[shape][first : first + count].reshape(shapes[path].shape)
            taken[shape] += count
        return flax.traverse_util.unflatten_dict({path: joined[path] for path in shapes}, sep="/")

    def init(params: Any) -> Any:
        groups, flat = split(params)
        return matrices.init(groups), others.init(flat)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        groups, flat = split(updates)
        of_groups, of_flat = (None, None) if params is None else split(params)
        new_groups, matrices_state = matrices.update(groups, state[0], of_groups)
        new_flat, others_state = others.update(flat, state[1], of_flat)
        return join(new_groups, new_flat, updates), (matrices_state, others_state)

    return optax.GradientTransformation(init, update)


def _matrix_shape(kernel: jax.Array, rank: int) -> tuple[int, int]:
    """(product of all axes of a layer's kernel but the last, the last axis)."""
    *inputs, features = kernel.shape[-rank:]
    return math.prod(inputs), features
