"""Autoregressive maps: each element passes through a transform whose parameters come from the elements before it.

    z_k = transform(x_k; conditioner(x_1 ... x_{k-1}))

The Jacobian is triangular, and `forward` needs one evaluation of the conditioner for all elements. `inverse` finds the
elements one after the other, in one compiled loop.
"""

import math

import jax
import jax.numpy as jnp

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.bijections.transforms import Transform
from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.loop import varying_with
from realnvp_jax.networks.sequential import SequentialConditioner
from realnvp_jax.progress import report_progress


class Autoregressive(Bijection):
    """An autoregressive map.

    Attributes:
      conditioner: network from the previous elements and the context to the parameters of the transform.
      transform: elementwise transform.
      shows_progress: whether `inverse` shows a progress bar.
    """

    conditioner: SequentialConditioner
    transform: Transform
    shows_progress: bool = False

    def with_progress(self):
        """The same bijection, with a progress bar in its inverse."""
        return self.clone(shows_progress=True)

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        z, log_derivative = self.transform.checked("forward", x[..., None], self.conditioner(x, context, mode))
        self.transform.note_log_scales(log_derivative)
        return z[..., 0], log_derivative.sum(axis=tuple(range(1, log_derivative.ndim)))

    def inverse(self, z, context=None):
        """Latent to data."""
        if self.is_initializing():  # the loop below cannot create parameters
            self.forward(z, context)
        n, size = z.shape[0], math.prod(z.shape[1:])
        in_order = z.reshape(n, size)[:, self.conditioner.sequence].T

        # Flax's loop does not allow callbacks, such as the progress bar's; JAX's does.
        module, variables = self.unbind()

        def step(carry, now):
            return module.apply(variables, carry, *now, size, context, method="_next_element"), None

        start = varying_with((self.conditioner.start(n, z.dtype), jnp.zeros((n,), z.dtype)), z, context)
        (state, log_det), _ = jax.lax.scan(step, start, (jnp.arange(size), in_order))
        return self.conditioner.event(state), log_det

    def _next_element(self, carry, k, z_k, size, context):
        """(state, log_det) after element k of `size`."""
        state, log_det = carry
        raw, state = self.conditioner.parameters_of(state, k, context)
        x_k, log_derivative = self.transform.checked("inverse", z_k[:, None], raw)
        if self.shows_progress:
            report_progress("sampling", k, size)
        return self.conditioner.put(state, k, x_k[:, 0]), log_det + log_derivative[:, 0]
