"""A flow: a density and a sampler made of preprocessing, a bijection and a base distribution.

    log p(x) = log p_base(z) + log |det dz/dx|,    z = bijection(preprocessing(x))

`Flow` is an immutable, hashable description without arrays. Its methods are pure functions of the parameters,
each compiled once per shape; they may be used inside of `jit`, `grad`, `vmap` and `pmap`.
"""

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer

from realnvp_jax.base import Base, Normal
from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.checks import check_finite, check_not_constant
from realnvp_jax.models import pure
from realnvp_jax.preprocessing import (
    Identity,
    Preprocessing,
    check_pixels,
    dequantize_each,
    floor_to_levels,
)

Params = Mapping[str, Any]  # {"params": trainable, "batch_stats": running statistics, ...}

_NORMAL = Normal()
_IDENTITY = Identity()


@dataclasses.dataclass(frozen=True, repr=False)
class Flow:
    """A normalizing flow over events of one shape.

    Wherever `x` or `z` is an argument it has shape (*batch, *event_shape) with any number of leading dimensions;
    `context` has shape (*batch, context_size), is broadcast against the batch, and is required exactly when the
    flow was built with a context size. `params` is the dict {"params": ..., "batch_stats": ...} that `init` returns:
    trainable parameters, running statistics, and for vectors the constants of the "standardization".

    Attributes:
      event_shape: shape of one example; images are (height, width, channels).
      bijection: map from preprocessed data to the latent.
      base: distribution of every dimension of the latent.
      preprocessing: elementwise map from the data's units to the bijection's input.
      levels: number of values of discrete data, or None for data that are continuous by nature.
      context_size: width of the context, 0 for an unconditional density.
    """

    event_shape: tuple[int, ...]
    bijection: Bijection
    base: Base = _NORMAL
    preprocessing: Preprocessing = _IDENTITY
    levels: int | None = None
    context_size: int = 0

    def __repr__(self) -> str:
        """One line with everything that tells this flow from another."""
        fields = [f"event_shape={self.event_shape}", f"bijection={_describe(self.bijection)}", f"base={self.base}"]
        fields.append(f"preprocessing={self.preprocessing}")
        if self.levels is not None:
            fields.append(f"levels={self.levels}")
        if self.context_size:
            fields.append(f"context_size={self.context_size}")
        return f"Flow({', '.join(fields)})"

    @property
    def num_dims(self) -> int:
        """Number of dimensions of one example."""
        return int(np.prod(self.event_shape))

    def init(self, key: jax.Array, x: ArrayLike | None = None, context: ArrayLike | None = None) -> dict[str, Any]:
        """Fresh parameters: a pure function, the same on any number of devices.

        Args:
          key: random key.
          x: a batch, in the data's units, from which the standardisation of vectors and ActNorm take their values: x
            then comes out of each of them with mean 0 and variance 1. Learned linear maps start so that it comes out of
            them with covariance 1. Everything else, batch norm's running statistics included (mean 0, variance 1), does
            not depend on x.
          context: what x is conditioned on, if the flow is conditional; zeros if left out.

        Raises:
          TypeError: x holds integers.
          ValueError: x does not end in the event shape, is empty, holds NaN or infinite values, or has a constant
            column (vectors only); context has the wrong shape.
        """
        variables = pure.init(self, key)
        if x is None:
            return variables
        if context is None and self.context_size:
            context = jnp.zeros((self.context_size,))
        x, context, _ = self._batched(x, context)
        if not isinstance(x, Tracer):
            check_finite(x)
            if context is not None:
                check_finite(context, what="context")
            if len(self.event_shape) == 1:
                check_not_constant(np.asarray(x))
        return pure.init_from_data(self, variables, x, context)

    def log_prob(self, params: Params, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "*batch"]:
        """Exact log-density in nats with respect to the data's units; -inf outside of the support.

        Evaluation mode: a value depends on its own example only. NaN in an example gives NaN.

        Raises:
          TypeError: x holds integers.
          ValueError: x or context has the wrong shape, or params belong to another flow.
        """
        x, context, batch = self._batched(x, context)
        return pure.log_prob(self, check_params(params), x, context).reshape(batch)

    def log_prob_train(
        self,
        params: Params,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        axis_name: str | None = None,
    ) -> tuple[Float[Array, "*batch"], dict[str, Any]]:
        """Log-density under the statistics of the batch, and `params` with the running statistics updated.

        Args:
          params: parameters.
          x: the batch.
          context: what the density is conditioned on.
          axis_name: name of the mapped axis of devices that share the batch, so that its statistics are global.

        Raises:
          TypeError, ValueError: as `log_prob`.
        """
        x, context, batch = self._batched(x, context)
        log_prob, updated = pure.log_prob_train(self, check_params(params), x, context, axis_name)
        return log_prob.reshape(batch), updated

    def forward(
        self, params: Params, x: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """Data to latent: (z, log |det dz/dx|). Values outside of the support have no latent and give NaN.

        Raises:
          TypeError, ValueError: as `log_prob`.
        """
        x, context, batch = self._batched(x, context)
        z, log_det = pure.forward(self, check_params(params), x, context)
        return z.reshape(batch + self.event_shape), log_det.reshape(batch)

    def inverse(
        self, params: Params, z: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """Latent to data: (x, log |det dx/dz|).

        Raises:
          TypeError, ValueError: as `log_prob`; or a latent is outside of the base's support (under a JAX
            transformation values cannot be looked at: there the result is not to be relied on, NaN for mixtures).
        """
        z, context, batch = self._batched(z, context)
        self._check_latents(z)
        x, log_det = pure.inverse(self, check_params(params), z, context)
        return x.reshape(batch + self.event_shape), log_det.reshape(batch)

    def sample(
        self,
        params: Params,
        key: jax.Array,
        shape: Sequence[int] | int = (),
        *,
        context: ArrayLike | None = None,
        temperature: float = 1.0,
        progress: bool = False,
    ) -> Float[Array, "..."]:
        """Draws in the data's units, of shape `shape` + (the context's batch) + event_shape.

        Args:
          params: parameters.
          key: random key.
          shape: how many; () is one, without a leading dimension.
          context: what the density is conditioned on.
          temperature: factor on the base distribution's deviation.
          progress: whether to show a progress bar where sampling is a long loop (PixelCNN).

        Raises:
          ValueError: temperature is negative, or not 1 with a uniform base; context has the wrong shape.
        """
        flow = dataclasses.replace(self, bijection=self.bijection.with_progress()) if progress else self
        return flow.sample_and_log_prob(params, key, shape, context=context, temperature=temperature)[0]

    def sample_and_log_prob(
        self,
        params: Params,
        key: jax.Array,
        shape: Sequence[int] | int = (),
        *,
        context: ArrayLike | None = None,
        temperature: float = 1.0,
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """`sample`, and the log-density of each draw under the flow (at temperature 1), from the one inverse pass.

        Raises:
          ValueError: as `sample`.
        """
        self._check_temperature(temperature)
        shape = (operator.index(shape),) if not isinstance(shape, Sequence) else tuple(map(operator.index, shape))
        if min(shape, default=0) < 0:
            raise ValueError(f"expected a shape of at least 0 samples; got {shape}")
        context_batch = () if context is None else tuple(np.shape(context)[:-1])
        context = self._batched_context(context, shape + context_batch)
        batch = shape + context_batch
        x, log_prob = pure.sample_and_log_prob(self, check_params(params), key, batch, context, temperature)
        return x.reshape(batch + self.event_shape), log_prob.reshape(batch)

    def bits_per_dim(
        self,
        params: Params,
        key: jax.Array,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        num_samples: int = 1,
    ) -> Float[Array, "*batch"]:
        """Upper bound on the bits per dimension of discrete data, from dequantization with uniform noise.

        -1/(D log 2) log 1/K sum_k p(x + u_k); K = 1 is the paper's number, larger K tightens the bound. All K copies
        are evaluated at once. The noise of an example depends on the key and on its position in the batch alone.

        Args:
          params: parameters.
          key: random key of the noise.
          x: integer pixels in [0, levels).
          context: what the density is conditioned on.
          num_samples: K.

        Raises:
          TypeError: x does not hold integers.
          ValueError: a pixel is out of range, a shape is wrong, num_samples < 1, or the flow has no levels.
        """
        if self.levels is None:
            raise ValueError("expected a flow over discrete data; this one has no levels, use log_prob for its density")
        if num_samples < 1:
            raise ValueError(f"expected num_samples of at least 1; got {num_samples}")
        pixels, batch = self._batched_pixels(x)
        if context is not None:
            pixels, batch = self._broadcast_pixels(pixels, batch, np.shape(context)[:-1])
        context = self._batched_context(context, batch)
        bits = pure.bits_per_dim(self, check_params(params), key, jnp.arange(len(pixels)), pixels, context, num_samples)
        return bits.reshape(batch)

    def dequantize(self, key: jax.Array, x: ArrayLike) -> Float[Array, "..."]:
        """Pixels plus uniform noise on [0, 1): what `bits_per_dim` with the same key and one sample takes.

        Raises:
          TypeError: x does not hold integers.
          ValueError: a pixel is out of range, the shape is wrong, or the flow has no levels.
        """
        if self.levels is None:
            raise ValueError("expected a flow over discrete data to dequantize for; this one has no levels")
        pixels, batch = self._batched_pixels(x)
        return dequantize_each(key, jnp.arange(len(pixels)), pixels).reshape(batch + self.event_shape)

    def to_uint8(self, x: ArrayLike) -> Integer[Array, "..."]:
        """Pixels in {0, ..., levels - 1}: floor and clamp of values in the data's units.

        Raises:
          ValueError: the flow has no levels, or more than 256.
        """
        if self.levels is None:
            raise ValueError("expected a flow over discrete data to make pixels for; this one has no levels")
        return floor_to_levels(jnp.asarray(x), self.levels)

    def _batch_shape(self, x) -> tuple[int, ...]:
        num_event_dims = len(self.event_shape)
        split = x.ndim - num_event_dims
        if split < 0 or tuple(x.shape[split:]) != self.event_shape:
            raise ValueError(f"expected shape (*batch, {str(self.event_shape)[1:]}; got {tuple(x.shape)}")
        return tuple(x.shape[:split])

    def _batched_pixels(self, x) -> tuple[jax.Array, tuple[int, ...]]:
        """Checked pixels as [n, *event], and the batch's own shape."""
        x = x if isinstance(x, jax.Array) else np.asarray(x)
        check_pixels(x, self.levels or 256)
        batch = self._batch_shape(x)
        return jnp.asarray(x).reshape((-1, *self.event_shape)), batch

    def _broadcast_pixels(self, pixels, batch, context_batch) -> tuple[jax.Array, tuple[int, ...]]:
        wide = self._broadcast_batch(batch, context_batch)
        pixels = jnp.broadcast_to(pixels.reshape(batch + self.event_shape), wide + self.event_shape)
        return pixels.reshape((-1, *self.event_shape)), wide

    def _batched(self, x, context):
        """X as [n, *event] and context as [n, width] of a floating dtype, and the batch's own shape."""
        x = x if isinstance(x, jax.Array) else np.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            hint = "convert them, x.astype('float32')"
            if self.levels is not None:
                hint = "make pixels continuous with dequantize(key, x), or use bits_per_dim(params, key, x)"
            raise TypeError(f"expected floating-point values; got {x.dtype}: {hint}")
        x = jnp.asarray(x)
        x = x.astype(jnp.promote_types(x.dtype, jnp.result_type(float)))
        batch = self._batch_shape(x)
        self._check_context(context)
        if context is not None:
            batch = self._broadcast_batch(batch, np.shape(context)[:-1])
            x = jnp.broadcast_to(x, batch + self.event_shape)
        context = self._batched_context(context, batch)
        return x.reshape((-1, *self.event_shape)), context, batch

    def _broadcast_batch(self, batch, context_batch) -> tuple[int, ...]:
        try:
            return tuple(np.broadcast_shapes(batch, context_batch))
        except ValueError:
            raise ValueError(
                f"expected a context whose leading dimensions broadcast against the batch {batch}; got {context_batch}"
            ) from None

    def _check_context(self, context) -> None:
        """Presence and width."""
        if self.context_size == 0:
            if context is not None:
                raise ValueError("expected no context: this flow was built without a context size")
            return
        width = f"(*batch, {self.context_size})"
        if context is None:
            raise ValueError(f"expected context of shape {width}; got none, and this flow is conditional")
        if np.ndim(context) == 0 or np.shape(context)[-1] != self.context_size:
            raise ValueError(f"expected context of shape {width}; got {np.shape(context)}")

    def _batched_context(self, context, batch):
        self._check_context(context)
        if context is None:
            return None
        context = jnp.asarray(context, jnp.result_type(float))
        self._broadcast_batch(batch, context.shape[:-1])
        return jnp.broadcast_to(context, (*batch, self.context_size)).reshape(-1, self.context_size)

    def _check_latents(self, z) -> None:
        low, high = self.base.support
        if isinstance(z, Tracer) or (low, high) == (-np.inf, np.inf) or z.size == 0:
            return
        if ((z < low) | (z > high)).any():
            raise ValueError(
                f"expected latents in [{low:g}, {high:g}], the support of {self.base}; got values from "
                f"{np.nanmin(z):g} to {np.nanmax(z):g}"
            )

    def _check_temperature(self, temperature) -> None:
        if isinstance(temperature, Tracer):
            if not self.base.has_scale:
                raise ValueError(f"expected no temperature: {self.base} has no deviation to scale")
            return
        if not np.ndim(temperature) == 0 or not temperature >= 0:
            raise ValueError(f"expected a temperature of at least 0; got {temperature}")
        if not self.base.has_scale and temperature != 1:
            raise ValueError(f"expected temperature 1: {self.base} has no deviation to scale; got {temperature}")


def check_params(params: Params) -> dict[str, Any]:
    """The variables as a dict; ValueError unless they look like what `init` and `load` return."""
    if not isinstance(params, Mapping) or "params" not in params:
        got = sorted(map(str, params))[:5] if isinstance(params, Mapping) else type(params).__name__
        raise ValueError(
            f'expected the dict {{"params": ..., "batch_stats": ...}} that init and load return; got {got}'
        )
    return dict(params)


def _describe(module: nn.Module) -> str:
    """One line: the module's class and its attributes, without those that have their default."""
    fields = [f for f in dataclasses.fields(module) if f.name not in ("parent", "name")]
    values = ((f.name, getattr(module, f.name)) for f in fields if getattr(module, f.name) != f.default)
    return f"{type(module).__name__}({', '.join(f'{n}={_describe_value(v)}' for n, v in values)})"


def _describe_value(value: Any) -> str:
    if isinstance(value, nn.Module):
        return _describe(value)
    if isinstance(value, tuple) and any(isinstance(v, nn.Module) for v in value):
        return f"({', '.join(map(_describe_value, value))})"
    return repr(value)
