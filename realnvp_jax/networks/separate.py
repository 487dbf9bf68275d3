"""One network per element: the simplest autoregressive conditioner, for vectors of few dimensions."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.sequential import VectorConditioner


class SeparateNetworks(VectorConditioner):
    """A separate perceptron for each element, from those before it; without a context, the first is a constant."""

    def setup(self):
        """The networks in order."""
        with_network = range(0 if self.context_size else 1, len(self.order))
        self.networks = [
            MLP(self.parameters_per_dim, hidden=self.hidden, activation=self.activation) for _ in with_network
        ]
        if not self.context_size:
            self.first = self.param("first", nn.initializers.zeros, (self.parameters_per_dim,))

    def __call__(self, x, context=None, mode=EVALUATE):
        """Parameters of every element."""
        raw = [] if self.context_size else [jnp.broadcast_to(self.first, (x.shape[0], self.parameters_per_dim))]
        for network in self.networks:
            raw.append(network(x[:, self.order[: len(raw)]], None, context))
        return jnp.stack(raw, axis=1)[:, np.argsort(self.order)]

    def parameters_of(self, state, k, context=None):
        """Parameters of the k-th element in order, and the state, which is the vector so far."""
        return jnp.take(self(state, context), self.sequence[k], axis=1), state
