"""Many layers of one kind in a loop: their parameters are stacked, and compile time does not grow with their number.

`memory` chooses what the backward pass of training is computed from:

    store     from what JAX keeps of every layer's forward pass (the layer's parts may declare that they keep less)
    remat     from the layer's input alone: its forward pass is computed again
    invert    from the stack's output alone: each layer's inverse recovers its input, with the statistics that the
              forward pass normalized by (two vectors for each normalization), so memory does not grow with the
              number of layers. The price is the evaluation of the inverse, and its rounding errors. (Gomez et al.,
              The Reversible Residual Network, 2017, for residual networks.)
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.bijections.bijection import Bijection, Context, Values
from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.loop import LOG_SCALES, loop_over, store, varying_with
from realnvp_jax.networks.statistics import USED_STATISTICS
from realnvp_jax.registry import parameter

MEMORY = ("store", "remat", "invert")
_WRITTEN = ("batch_stats", USED_STATISTICS, LOG_SCALES)  # what a training pass writes


class Stack(Bijection):
    """A bijection, repeated with separate parameters for each layer.

    Attributes:
      layer: one of the layers.
      num_layers: number of layers.
      places: how the layers differ besides their parameters: for each layer the argument of `layer.at`, a number or a
        tuple of numbers; () if they do not differ.
      memory: what the backward pass of training is computed from: store, remat or invert.
      unroll: write out one layer after the other instead of a loop; compiling takes many times longer.
    """

    is_elementary = False
    layer: Bijection
    num_layers: int
    places: tuple[Any, ...] = ()
    memory: str = parameter("store", "what training keeps for the backward pass of a layer", choices=MEMORY)
    unroll: bool = False

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        if mode.trains and self.memory == "invert" and not self.is_initializing():
            return self._forward_invertible(x, context, mode)

        def step(layer, value, number):
            x, log_det = value
            x, layer_log_det = layer.forward(x, context, mode.at(number))
            return x, log_det + layer_log_det

        if mode.trains and self.memory == "remat":
            return self._loop(step, x, context, wrap=lambda body: jax.checkpoint(body, prevent_cse=self.unroll))
        return self._loop(step, x, context)

    def inverse(self, z, context=None):
        """Latent to data."""

        def step(layer, value, number):
            z, log_det = value
            z, layer_log_det = layer.inverse(z, context)
            return z, log_det + layer_log_det

        return self._loop(step, z, context, reverse=True)

    def _loop(self, step: Any, x: jax.Array, context: Context, **options: Any) -> Values:
        start = x, jnp.zeros_like(x, shape=x.shape[:1])
        if context is not None:
            start = varying_with(start, context)
        return loop_over(step, self.layer, start, self.num_layers, self._places(), unroll=self.unroll, **options)

    def _places(self) -> np.ndarray | None:
        return np.asarray(self.places, np.int32) if self.places else None

    def _forward_invertible(self, x: jax.Array, context: Context, mode: Mode) -> Values:
        """A training pass that keeps only its output and the statistics that it used; for reverse mode only."""
        layer, variables = self.layer.unbind()
        places = self._places()
        numbers = np.arange(self.num_layers)
        trips = self.num_layers if self.unroll else 1
        mode, draws = dataclasses.replace(mode, draws=None), mode.draws  # a rule for gradients cannot close over arrays

        def mode_at(draws, number):
            return mode if draws is None else mode.drawing(*draws).at(number)

        def at(place):
            return layer if place is None else layer.at(place)

        def forward(variables, x, context, draws):
            def step(carry, of_layer):
                x, log_det = carry
                variables, place, number = of_layer
                (z, layer_log_det), updated = at(place).apply(
                    variables,
                    x,
                    context,
                    mode_at(draws, number),
                    method="forward",
                    mutable=_WRITTEN,
                )
                return (z, log_det + layer_log_det), {name: updated.get(name, {}) for name in _WRITTEN}

            start = x, jnp.zeros_like(x, shape=x.shape[:1])
            layers = variables, places, numbers
            (z, log_det), written = jax.lax.scan(step, start, layers, length=self.num_layers, unroll=trips)
            return (z, log_det, written), (variables, context, draws, z, written[USED_STATISTICS])

        def backward(residuals, cotangents):
            variables, context, draws, z, used = residuals
            z_bar, log_det_bar, _ = cotangents  # nothing flows back from statistics

            def step(carry, of_layer):
                z, z_bar, context_bar = carry
                variables, place, number, used = of_layer
                x, (params_bar, x_bar, more) = at(place).pull_back(
                    variables, used, z, context, mode_at(draws, number), (z_bar, log_det_bar)
                )
                return (x, x_bar, jax.tree.map(jnp.add, context_bar, more)), params_bar

            start = z, z_bar, jax.tree.map(jnp.zeros_like, context)
            layers = variables, places, numbers, used
            (_, x_bar, context_bar), params_bar = jax.lax.scan(
                step, start, layers, length=self.num_layers, reverse=True, unroll=trips
            )
            zeros = {name: jax.tree.map(jnp.zeros_like, tree) for name, tree in variables.items()}
            return {**zeros, "params": params_bar} if "params" in variables else zeros, x_bar, context_bar, None

        run = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
        run.defvjp(forward, backward)
        z, log_det, written = run(variables, x, context, draws)
        store(self.layer, {name: tree for name, tree in written.items() if self.layer.is_mutable_collection(name)})
        return z, log_det
