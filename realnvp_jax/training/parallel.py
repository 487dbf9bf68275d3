"""The per-device steps on all devices of all processes, under `jax.pmap`.

The state is replicated without a leading device axis, so that it can be saved and restored unchanged on any number of
devices and processes. Every process holds its own copy, on its own devices. Batches are reshaped to [local devices,
examples per device, ...].
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import optax

from realnvp_jax.data.batches import batch_indices
from realnvp_jax.data.examples import Examples
from realnvp_jax.models.flow import Flow
from realnvp_jax.training.steps import eval_step, train_step, train_steps

AXIS = "devices"


def parallel_train_step(
    flow: Flow,
    optimizer: optax.GradientTransformation,
    *,
    steps_per_dispatch: int = 1,
    **options: Any,
) -> Callable[..., Any]:
    """`train_step` as (state, sharded batch, key, count) -> (state, metrics); the state's buffers are donated.

    With more than one step per dispatch it is `train_steps`: batches have a step axis after the device axis, and only
    the first `count` steps run. The options are those of `train_step`.
    """
    options = {"flow": flow, "optimizer": optimizer, **options}
    if steps_per_dispatch > 1:
        steps = functools.partial(train_steps, **options, axis_name=AXIS)
        return jax.pmap(steps, AXIS, in_axes=(None, 0, None, None), out_axes=None, donate_argnums=0)
    step = jax.pmap(
        functools.partial(train_step, **options, axis_name=AXIS),
        AXIS,
        in_axes=(None, 0, None),
        out_axes=None,
        donate_argnums=0,
    )
    return lambda state, batch, key, count=1: step(state, batch, key)


@functools.cache  # so that a second evaluation does not compile again
def parallel_eval_step(flow: Flow, *, train_mode: bool = False, num_samples: int = 1) -> Callable[..., Any]:
    """`eval_step` as (params, sharded batch, key) -> scores of the global batch."""
    step = functools.partial(eval_step, flow=flow, train_mode=train_mode, num_samples=num_samples, axis_name=AXIS)
    return jax.pmap(step, AXIS, in_axes=(None, 0, None), out_axes=None)


def replicate(tree: Any) -> Any:
    """Put a tree on every device of this process, as the parallel steps take and return it: they compile only once."""
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def shard(batch: Any, num_local_devices: int | None = None) -> Any:
    """Split the leading axis of every array over the local devices."""
    count = num_local_devices or jax.local_device_count()
    return jax.tree.map(lambda x: x.reshape((count, -1, *x.shape[1:])), batch)


def training_batch(
    examples: Examples, seed: int, batch_size: int, step: int, count: int = 1, steps_per_dispatch: int = 1
) -> dict[str, jax.Array]:
    """The current process's share of a step's batch, on its devices: [local devices, examples per device, ...].

    The global batch is a function of the other arguments; each process reads only its own share. With more than one
    step per dispatch there is a second axis, for `count` steps starting at `step`, padded with copies of the last.
    """
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))
    batches = []
    for number in range(step, step + count):
        indices = batch_indices(seed, number, batch_size, len(examples), jax.process_index(), jax.process_count())
        batches.append(shard(examples.batch(indices)))
    if steps_per_dispatch == 1:
        return jax.device_put(batches[0], sharding)
    batches += batches[-1:] * (steps_per_dispatch - count)
    return jax.device_put(jax.tree.map(lambda *values: np.stack(values, axis=1), *batches), sharding)


def dispatches(first: int, stop: int, steps_per_dispatch: int, *every: int) -> Iterator[tuple[int, int]]:
    """(first step, number of steps) of every dispatch from `first` to `stop`: none goes past a multiple of `every`."""
    while first < stop:
        ends = [stop, first + steps_per_dispatch, *((first // period + 1) * period for period in every)]
        yield first, min(ends) - first
        first = min(ends)


def check_batch_size(batch_size: int, accumulate: int = 1) -> None:
    """Raise ValueError unless all devices of all processes can share a batch equally, each in equal parts."""
    if batch_size < 1 or batch_size % jax.device_count():
        raise ValueError(
            f"expected a batch_size that {jax.device_count()} device(s) divide; got {batch_size}: "
            f"use a multiple of {jax.device_count()}"
        )
    if batch_size // jax.device_count() % accumulate:
        raise ValueError(
            f"expected a batch_size per device that accumulate={accumulate} divides; got {batch_size} for "
            f"{jax.device_count()} device(s): use a multiple of {accumulate * jax.device_count()}"
        )
