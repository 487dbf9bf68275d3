"""The rules of `compression.exact`: what stands in place of each kind of bijection."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from realnvp_jax.bijections.bijection import Chain, Inverse, Reordered
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.linear import Linear
from realnvp_jax.bijections.plain_conv import PlainInvertibleConv
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.compression import grid
from realnvp_jax.compression.exact import Composition, Context, Elementwise, ExactMap, Integers, Part, exact
from realnvp_jax.compression.matrices import ExactMatrix
from realnvp_jax.models.multiscale import MultiScale, Scale
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.models.vector import VectorRealNVP


@exact.register(Chain)
def _(module: Chain, part: Part) -> ExactMap:
    return Composition([part.child(layer, part.place) for layer in part.module.bind(part.variables).layers])


@exact.register(Inverse)
class _Inverse:
    """The inverse of a map."""

    def __init__(self, module: Inverse, part: Part):
        self._map = part.child(part.bound.bijection)

    def forward(self, bits, x, context):
        """Data to latent."""
        return self._map.inverse(bits, x, context)

    def inverse(self, bits, z, context):
        """Latent to data."""
        return self._map.forward(bits, z, context)


@exact.register(VectorRealNVP)
def _(module: VectorRealNVP, part: Part) -> ExactMap:
    return Composition([part.child(layer) for layer in part.bound.layers])


@exact.register(Stack)
def _(module: Stack, part: Part) -> ExactMap:
    layer, variables = part.bound.layer.unbind()
    places = [np.int32(place) for place in module.places] or [None] * module.num_layers
    return Composition(
        [
            exact(layer, Part(layer, jax.tree.map(lambda leaf, i=i: leaf[i], variables), part.batch_size, places[i]))
            for i in range(module.num_layers)
        ]
    )


@exact.register(Coupling)
class _Coupling:
    """A coupling: an elementwise map of the transformed half, given the conditioner's output."""

    def __init__(self, module: Coupling, part: Part):
        self._part = part
        self._transformed: Any = None

    def forward(self, bits, x, context):
        """Data to latent."""
        where, edges, _ = self._given(x, context)
        z = x.copy()
        z[:, where] = grid.forward(bits, x[:, where], edges)
        return z

    def inverse(self, bits, z, context):
        """Latent to data."""
        where, edges, raw = self._given(z, context)
        guess = self._part.call(_half_back, (z + 0.5) * grid.STEP, raw)[:, where] / grid.STEP
        x = z.copy()
        x[:, where] = grid.inverse(bits, z[:, where], edges, guess)
        return x

    def _given(self, x: Integers, context: Context) -> tuple[np.ndarray, grid.Edges, np.ndarray]:
        """(positions of the transformed half, the map of its bins' edges, the conditioner's output)."""
        raw = self._part.call(_parameters, x * grid.STEP, context)
        if self._transformed is None:
            self._transformed = self._part.call(_is_transformed, np.ones((1, *x.shape[1:])))[0] > 0
        where = self._transformed

        def edges(bins: Integers) -> np.ndarray:
            values = np.zeros(x.shape)
            values[:, where] = (bins << grid.BIN_BITS) * grid.STEP
            return self._part.call(_half, values, raw)[:, where] / grid.STEP

        return where, edges, raw


def _parameters(coupling: Coupling, x, context):
    return coupling.parameters(coupling.mask.split(x)[0], x.shape, context)


def _half(coupling: Coupling, x, raw):
    identity, transformed = coupling.mask.split(x)
    return coupling.mask.merge(identity, coupling.transform_half(transformed, raw)[0])


def _half_back(coupling: Coupling, z, raw):
    identity, transformed = coupling.mask.split(z)
    return coupling.mask.merge(identity, coupling.transform_half_back(transformed, raw)[0])


def _is_transformed(coupling: Coupling, ones):
    identity, transformed = coupling.mask.split(ones)
    return coupling.mask.merge(jnp.zeros_like(identity), jnp.ones_like(transformed))


class _Matrix:
    """A matrix on the last axis, factorized when its size is known."""

    def __init__(self, factors: Callable[[int], tuple[Any, Any, Any]]):
        self._factors = factors
        self._matrix: Any = None

    def forward(self, bits, x, context):
        """Data to latent."""
        return self._of(x).forward(bits, x)

    def inverse(self, bits, z, context):
        """Latent to data."""
        return self._of(z).inverse(bits, z)

    def _of(self, x: Integers) -> ExactMatrix:
        if self._matrix is None:
            self._matrix = ExactMatrix(*map(np.asarray, self._factors(x.shape[-1])))
        return self._matrix


@exact.register(Linear)
def _(module: Linear, part: Part) -> ExactMap:
    def factors(channels: int) -> tuple[Any, Any, Any]:
        found = part.bound.factors(channels)
        order = np.arange(channels) if found.permutation is None else found.permutation
        return order, found.lower, found.upper

    return _Matrix(factors)


@exact.register(PlainInvertibleConv)
def _(module: PlainInvertibleConv, part: Part) -> ExactMap:
    def factors(channels: int) -> tuple[Any, Any, Any]:
        factorized: Any = scipy.linalg.lu(np.asarray(part.bound.matrix(channels)))
        permutation, lower, upper = factorized
        return np.argmax(permutation, axis=0), lower, upper

    return _Matrix(factors)


@exact.register(Reordered)
class _Reordered:
    """A map of vectors with their elements in another order."""

    def __init__(self, module: Reordered, part: Part):
        self._order = None if part.bound.order is None else np.asarray(part.bound.order)
        self._map = part.child(part.bound.bijection)

    def forward(self, bits, x, context):
        """Data to latent."""
        return self._restore(self._map.forward(bits, self._reorder(x), context))

    def inverse(self, bits, z, context):
        """Latent to data."""
        return self._restore(self._map.inverse(bits, self._reorder(z), context))

    def _reorder(self, x: Integers) -> Integers:
        return x if self._order is None else x[:, self._order]

    def _restore(self, x: Integers) -> Integers:
        return x if self._order is None else x[:, np.argsort(self._order)]


@exact.register(Standardized)
class _Standardized:
    """A map of standardized vectors, given a standardized context."""

    def __init__(self, module: Standardized, part: Part):
        bound = part.bound
        self._standardize = part.child(bound.standardize)
        module_of_context, variables = bound.standardize_context.unbind()
        self._context_part = Part(module_of_context, variables, part.batch_size)
        self._map = part.child(bound.bijection)

    def forward(self, bits, x, context):
        """Data to latent."""
        return self._map.forward(bits, self._standardize.forward(bits, x, None), self._standard(context))

    def inverse(self, bits, z, context):
        """Latent to data."""
        return self._standardize.inverse(bits, self._map.inverse(bits, z, self._standard(context)), None)

    def _standard(self, context: Context) -> Context:
        return None if context is None else self._context_part.call(_forward_value, context)


def _forward_value(module, x):
    return module.forward(x)[0]


class _Scale:
    """One scale of the multi-scale architecture."""

    def __init__(self, scale: Scale, part: Part):
        self._before, self._behind = part.child(scale.before), part.child(scale.behind)
        self._squeeze = None if scale.squeeze is None else part.child(scale.squeeze)
        self._factors_out = scale.factors_out
        self._prior: Any = None
        if scale.prior is not None:
            module, variables = scale.prior.unbind()
            self._prior = Elementwise(Part(module, variables, part.batch_size), "forward_given", "inverse_given")

    def forward(self, bits, x, context):
        """(what goes on, what is factored out or None)."""
        x = self._behind.forward(bits, self.squeeze(bits, self._before.forward(bits, x, context)), context)
        kept, latent = self.halves(x)
        if self._prior is not None:
            latent = self._prior.forward(bits, latent, context, kept * grid.STEP)
        return kept, latent

    def inverse(self, bits, kept, latent, context):
        """The inverse of `forward`."""
        if self._prior is not None:
            latent = self._prior.inverse(bits, latent, context, kept * grid.STEP)
        x = self._behind.inverse(bits, self.joined(kept, latent), context)
        return self._before.inverse(bits, self.unsqueeze(bits, x), context)

    def squeeze(self, bits, x):
        """Squeezed."""
        return x if self._squeeze is None else self._squeeze.forward(bits, x, None)

    def unsqueeze(self, bits, x):
        """The inverse of `squeeze`."""
        return x if self._squeeze is None else self._squeeze.inverse(bits, x, None)

    def halves(self, x):
        """(what goes on, what is factored out or None)."""
        return np.split(x, 2, axis=-1) if self._factors_out else (x, None)

    def joined(self, kept, latent):
        """The inverse of `halves`."""
        return kept if latent is None else np.concatenate([kept, latent], axis=-1)


@exact.register(MultiScale)
class _MultiScale:
    """The multi-scale architecture, whose latents are put back where they were taken from."""

    def __init__(self, module: MultiScale, part: Part):
        self._scales = [_Scale(scale, part) for scale in part.bound.scales]
        self._final = part.child(part.bound.final)

    def forward(self, bits, x, context):
        """Data to latent."""
        latents = []
        for scale in self._scales:
            x, latent = scale.forward(bits, x, context)
            latents.append(latent)
        for scale in reversed(self._scales):
            x = scale.unsqueeze(bits, scale.joined(x, latents.pop()))
        return self._final.forward(bits, x, context)

    def inverse(self, bits, z, context):
        """Latent to data."""
        x, latents = self._final.inverse(bits, z, context), []
        for scale in self._scales:
            x, latent = scale.halves(scale.squeeze(bits, x))
            latents.append(latent)
        for scale in reversed(self._scales):
            x = scale.inverse(bits, x, latents.pop(), context)
        return x
