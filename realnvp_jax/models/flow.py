"""A flow: a density and a sampler made of preprocessing, a bijection and a base distribution.

    log p(x) = log p_base(z) + log |det dz/dx|,    z = bijection(preprocessing(x))

`Flow` is an immutable, hashable description without arrays. Its methods are pure functions of the parameters,
each compiled once per shape; they may be used inside `jit`, `grad`, `vmap` and `pmap`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Float, Integer
from numpy.typing import ArrayLike

from realnvp_jax.base import Base, Normal
from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.models import arguments, inputs, pure
from realnvp_jax.models.dequantizers import Dequantizer, UniformDequantizer
from realnvp_jax.models.describe import describe, describe_flow
from realnvp_jax.models.fields import check_fields
from realnvp_jax.models.rounding import check_log_prob
from realnvp_jax.preprocessing import Identity, Preprocessing, floor_to_levels
from realnvp_jax.random import threefry_key

if TYPE_CHECKING:
    from realnvp_jax.models.nnx_module import FlowModule

Params = Mapping[str, Any]  # {"params": trainable, "batch_stats": running statistics, ...}

_NORMAL = Normal()
_IDENTITY = Identity()
_UNIFORM_NOISE = UniformDequantizer()


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
      levels: number of values of discrete data, or None for continuous data.
      context_size: width of the context, 0 for an unconditional density.
      dequantizer: how discrete data are made continuous.
    """

    event_shape: tuple[int, ...]
    bijection: Bijection
    base: Base = _NORMAL
    preprocessing: Preprocessing = _IDENTITY
    levels: int | None = None
    context_size: int = 0
    dequantizer: Dequantizer = _UNIFORM_NOISE

    def __post_init__(self):
        check_fields(self)

    def __hash__(self) -> int:
        return vars(self)["_hash"]

    def __repr__(self) -> str:
        """One line with everything that distinguishes this flow from others."""
        return describe_flow(self)

    @property
    def num_dims(self) -> int:
        """Number of dimensions of one example."""
        return int(np.prod(self.event_shape))

    def init(self, key: jax.Array, x: ArrayLike | None = None, context: ArrayLike | None = None) -> dict[str, Any]:
        """Fresh parameters: a pure function, the same on any number of devices.

        Args:
          key: random key.
          x: a batch, in the data's units, from which the standardization of vectors and ActNorm are initialized: the
            output of each has mean 0 and variance 1 on x. Learned linear maps are initialized to outputs with unit
            covariance. Everything else, including batch norm's running statistics (mean 0, variance 1), does not
            depend on x.
          context: what x is conditioned on, if the flow is conditional; zeros if left out.

        Raises:
          TypeError: x holds integers.
          ValueError: x does not end in the event shape, is empty, holds NaN or infinite values or values outside the
            support, or has a column that is constant or varies too little for float32 (vectors only); context has the
            wrong shape, or a column that varies too little for float32.
        """
        variables = pure.init(self, threefry_key(key))
        if x is None:
            return variables
        given = np.zeros(self.context_size) if context is None and self.context_size else context
        x, context, _ = self._continuous(x, given)
        inputs.check_data(x, given, self.preprocessing)
        return pure.init_from_data(self, variables, x, context)

    def log_prob(self, params: Params, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "*batch"]:
        """Exact log-density in nats with respect to the data's units; -inf outside the support.

        Evaluation mode: a value depends on its own example only. NaN in an example gives NaN.

        Raises:
          TypeError: x holds integers.
          ValueError: x or context has the wrong shape, or params belong to another flow.
        """
        x, context, batch = self._continuous(x, context)
        return pure.log_prob(self, inputs.checked_params(params), x, context).reshape(batch)

    def log_prob_train(
        self, params: Params, x: ArrayLike, context: ArrayLike | None = None, *, axis_name: str | None = None
    ) -> tuple[Float[Array, "*batch"], dict[str, Any]]:
        """Log-density in nats under the statistics of the batch; `params` with the running statistics updated.

        With an `axis_name`, the name of a mapped axis, the batch is spread over its devices and its statistics are
        global. The other arguments are those of `log_prob`.

        Raises:
          TypeError, ValueError: as `log_prob`.
        """
        x, context, batch = self._continuous(x, context)
        log_prob, updated, _ = pure.log_prob_train(self, inputs.checked_params(params), x, context, axis_name)
        return log_prob.reshape(batch), updated

    def forward(
        self, params: Params, x: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """Data to latent: (z, log |det dz/dx|), which have no meaning for values outside the support.

        Raises:
          TypeError, ValueError: as `log_prob`.
        """
        x, context, batch = self._continuous(x, context)
        z, log_det = pure.forward(self, inputs.checked_params(params), x, context)
        return z.reshape(batch + self.event_shape), log_det.reshape(batch)

    def inverse(
        self, params: Params, z: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """Latent to data: (x, log |det dx/dz|).

        Raises:
          TypeError, ValueError: as `log_prob`; or a latent is outside the base's support (values cannot be checked
            under a JAX transformation: there such latents give meaningless results, or NaN for mixtures).
        """
        z, context, batch = self._continuous(z, context)
        inputs.check_latents(z, self.base)
        x, log_det = pure.inverse(self, inputs.checked_params(params), z, context)
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
          shape: leading dimensions of the samples; () is a single sample without leading dimensions.
          context: what the density is conditioned on.
          temperature: factor on the base distribution's standard deviation.
          progress: whether to show a progress bar where sampling is a long loop (PixelCNN).

        Raises:
          ValueError: temperature is negative, or not 1 with a uniform base; context has the wrong shape.
        """
        flow = dataclasses.replace(self, bijection=self.bijection.with_progress()) if progress else self
        request = inputs.sample_request(self, params, key, shape, context, temperature)
        return pure.sample(flow, *request).reshape(request.batch + self.event_shape)

    def sample_and_log_prob(
        self,
        params: Params,
        key: jax.Array,
        shape: Sequence[int] | int = (),
        *,
        context: ArrayLike | None = None,
        temperature: float = 1.0,
        check: bool = False,
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """`sample`, and `log_prob` of each draw (in nats, at temperature 1), from a single inverse pass.

        They agree to within rounding, which strong weights amplify (`realnvp_jax.models.rounding`). With `check`,
        `log_prob` is evaluated too, and a difference above LARGEST_LOG_PROB_ERROR is a RoundingWarning. Draws with
        pixels so close to the ends of their support that rounding moves them are always evaluated by `log_prob`.

        Raises:
          ValueError: as `sample`; or `check` is True under a JAX transformation.
        """
        request = inputs.sample_request(self, params, key, shape, context, temperature)
        x, log_prob = pure.sample_and_log_prob(self, *request)
        if check:
            check_log_prob(log_prob, pure.log_prob(self, request.variables, x, request.context))
        return x.reshape(request.batch + self.event_shape), log_prob.reshape(request.batch)

    def bits_per_dim(
        self, params: Params, key: jax.Array, x: ArrayLike, context: ArrayLike | None = None, *, num_samples: int = 1
    ) -> Float[Array, "*batch"]:
        """Upper bound on the bits per dimension of discrete data, by the flow's dequantizer (by default uniform noise).

        -1/(D log 2) log 1/K sum_k p(y_k) / q(y_k | x), y_k ~ q; K = 1 is the paper's number, larger K tightens the
        bound. All K copies are evaluated at once. An example's noise depends only on the key and its position.

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
        arguments.at_least(1, num_samples=num_samples)
        pixels, context, batch = self._pixels(x, context)
        variables, key, indices = inputs.checked_params(params), threefry_key(key), pure.positions(pixels.shape[0])
        return pure.bits_per_dim(self, variables, key, indices, pixels, context, num_samples).reshape(batch)

    def bits_per_dim_train(
        self,
        params: Params,
        key: jax.Array,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        axis_name: str | None = None,
    ) -> tuple[Float[Array, "*batch"], dict[str, Any]]:
        """Bits per dimension under the statistics of the batch; `params` with the running statistics updated.

        Dropout is applied if the flow has it. An example's noise depends only on the key and its position in the
        (global) batch. The arguments are those of `bits_per_dim` and `log_prob_train`.

        Raises:
          TypeError, ValueError: as `bits_per_dim`.
        """
        pixels, context, batch = self._pixels(x, context)
        indices = pure.positions(pixels.shape[0], axis_name)
        variables, key = inputs.checked_params(params), threefry_key(key)
        bits, updated, _ = pure.bits_per_dim_train(self, variables, key, indices, pixels, context, axis_name)
        return bits.reshape(batch), updated

    def dequantize(
        self, key: jax.Array, x: ArrayLike, params: Params | None = None, context: ArrayLike | None = None
    ) -> Float[Array, "..."]:
        """Continuous values y with floor(y) = x: those that `bits_per_dim` with the same key and one sample evaluates.

        Args:
          key: random key of the noise.
          x: integer pixels in [0, levels).
          params: parameters; only a learned dequantizer needs them.
          context: what the density is conditioned on; only a learned dequantizer needs it.

        Raises:
          TypeError, ValueError: as `bits_per_dim`, or a learned dequantizer gets no params.
        """
        levels = inputs.check_discrete(self.levels)
        if params is None and self.dequantizer.is_learned:
            raise ValueError(f"expected params, which {describe(self.dequantizer)} needs to dequantize; got none")
        size, context = (self.context_size, context) if self.dequantizer.is_learned else (0, None)
        pixels, context, batch = inputs.pixel_batch(x, context, self.event_shape, size, levels)
        variables = inputs.checked_params(params or {})
        y = pure.dequantized(self, variables, threefry_key(key), pure.positions(pixels.shape[0]), pixels, context)
        return y.reshape(batch + self.event_shape)

    def to_uint8(self, x: ArrayLike) -> Integer[Array, "..."]:
        """Pixels in {0, ..., levels - 1}: values in the data's units, floored and clamped; NaN becomes 0.

        Raises:
          ValueError: the flow has no levels, or more than 256.
        """
        return floor_to_levels(inputs.floating(x), inputs.check_discrete(self.levels))

    def to_nnx(self, params: Params) -> "FlowModule":
        """A `flax.nnx.Module` that holds these parameters as its variables; see `models.nnx_module.FlowModule`."""
        from realnvp_jax.models.nnx_module import FlowModule  # an import that most programs do not need

        return FlowModule(self, params)

    def _continuous(self, x: ArrayLike, context: ArrayLike | None) -> inputs.Batch:
        return inputs.continuous_batch(x, context, self.event_shape, self.context_size, self.levels is not None)

    def _pixels(self, x: ArrayLike, context: ArrayLike | None) -> inputs.Batch:
        return inputs.pixel_batch(x, context, self.event_shape, self.context_size, inputs.check_discrete(self.levels))
