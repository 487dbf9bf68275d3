"""Many layers of one kind in a loop: their parameters are stacked, and the time to compile does not grow with them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.training_pass import forward_keeping, forward_keeping_the_end
from realnvp_jax.networks.execution import Execution
from realnvp_jax.networks.loop import loop_over
from realnvp_jax.networks.residual_loop import KEPT
from realnvp_jax.networks.weight_norm import fold

KEEP_NAMED = jax.checkpoint_policies.save_only_these_names(KEPT)
KEEP_NOTHING = jax.checkpoint_policies.nothing_saveable

Values = tuple[Float[Array, "n *event"], Float[Array, " n"]]  # (value, log_det)


def scan_layers(
    apply: Callable[[Any, Float[Array, "n *event"], Any], Values],
    layer: Bijection,
    x: Float[Array, "n *event"],
    num_layers: int,
    items: Any = None,
    **options: Any,
) -> Values:
    """(value, log_det) of all layers.

    Args:
      apply: (layer, x, item) -> (value, log_det) of one layer, its forward or inverse direction.
      layer: the layer, whose parameters get a leading axis.
      x: the input.
      num_layers: how many layers.
      items: what the layers differ in besides their parameters: arrays with a leading axis for the layers, or None.
      **options: of `loop_over`; with reverse=True the last layer comes first.
    """

    def step(layer, carry, item):
        x, log_det = carry
        x, layer_log_det = apply(layer, x, item)
        return x, log_det + layer_log_det

    return loop_over(step, layer, (x, jnp.zeros_like(x, shape=x.shape[:1])), num_layers, items, **options)


class CouplingStack(Bijection):
    """Couplings of one shape, whose parity alternates (halves of an image take turns in all four).

    Attributes:
      coupling: one of them; its mask has the kind of all.
      num_layers: how many.
      execution: how training passes are carried out.
    """

    coupling: Coupling
    num_layers: int
    execution: Execution = Execution()

    def _parities(self) -> Int[np.ndarray, " layers"]:
        return np.arange(self.num_layers, dtype=np.int32) % self.coupling.mask.num_parities

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        if train and not self.is_mutable_collection("params"):  # a pass that may set parameters is not differentiated
            return self._forward_in_training(x, context, axis_name)

        def apply(coupling, x, parity):
            return coupling.forward(x, context, train=train, axis_name=axis_name, parity=parity)

        parities = jnp.asarray(self._parities())
        return scan_layers(apply, self.coupling, x, self.num_layers, parities, unroll=self.execution.unroll)

    def _forward_in_training(self, x, context, axis_name):
        coupling, variables = self.coupling.unbind()
        run = {
            "store": functools.partial(forward_keeping, keep=KEEP_NAMED),
            "remat": functools.partial(forward_keeping, keep=KEEP_NOTHING),
            "invert": forward_keeping_the_end,
        }[self.execution.memory]
        trainable = variables["params"]
        if self.execution.memory == "store":  # the other modes do without copies of the kernels
            trainable = fold(trainable)
        z, log_det, statistics = run(
            coupling,
            trainable,
            variables.get("batch_stats", {}),
            x,
            context,
            self._parities(),
            axis_name=axis_name,
            unroll=self.execution.unroll,
        )
        if statistics and self.is_mutable_collection("batch_stats"):
            self.put_variable("batch_stats", "coupling", statistics)
        return z, log_det

    def inverse(self, z, context=None):
        """Latent to data."""

        def apply(coupling, z, parity):
            return coupling.inverse(z, context, parity=parity)

        parities = jnp.asarray(self._parities())
        return scan_layers(
            apply, self.coupling, z, self.num_layers, parities, reverse=True, unroll=self.execution.unroll
        )


def in_order(
    apply: Callable[[Any, Float[Array, "n dims"]], Values],
) -> Callable[[Any, Float[Array, "n dims"], Int[Array, "2 dims"] | None], Values]:
    """`apply` between a reordering of the elements and the way back: (layer, x, order) -> (value, log_det)."""

    def between(layer, x, order):
        if order is None:
            return apply(layer, x)
        value, log_det = apply(layer, x[:, order[0]])
        return value[:, order[1]], log_det

    return between


def there_and_back(orders: Int[np.ndarray, "layers dims"]) -> Int[Array, "layers 2 dims"]:
    """Orders with their inverses."""
    return jnp.asarray(np.stack([orders, np.argsort(orders, axis=1)], axis=1))
