"""Optimizers, learning-rate schedules and the authors' L2 penalty (Section 4.1 of the paper)."""

import abc
import dataclasses
from collections.abc import Callable, Collection
from typing import Any, ClassVar

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax.flatten_util import ravel_pytree

from realnvp_jax.models.declared import hidden_kernels
from realnvp_jax.models.flow import Flow
from realnvp_jax.registry import check_parameters, config_keys, parameter, register
from realnvp_jax.training.muon import Kernels, for_kernels, orthogonalized_momentum

SCHEDULES = ("constant", "cosine", "one_cycle")
_FIRST, _LAST = 1 / 25, 1 / 250_000  # of a cycle, in learning rates


@dataclasses.dataclass(frozen=True)
class Optimizer(abc.ABC):
    """Base class of the parts of the kind "optimizer".

    Attributes:
      averages: whether it averages the parameters, as optax.contrib.schedule_free does; the average is what is then
        evaluated, saved, and loaded. It needs neither `ema_decay` nor a schedule that decays.
    """

    averages: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self)

    def for_flow(self, flow: Flow) -> "Optimizer":
        """The optimizer for the parameters of a flow; by default itself, since most treat all parameters alike."""
        del flow
        return self

    @abc.abstractmethod
    def transformation(self, schedule: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        """The transformation from gradients of the trainable parameters to updates.

        Args:
          schedule: the learning rate, as a function of the number of updates made.
        """


@register("optimizer", "adam")
@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015). It works on a single vector of all parameters, which compiles faster."""

    beta1: float = parameter(0.9, "decay of the mean of the gradients", at_least=0, below=1)
    beta2: float = parameter(0.999, "decay of the mean of their squares", at_least=0, below=1)
    epsilon: float = parameter(1e-8, "Adam's epsilon", above=0, at_most=1)

    def _on_one_vector(self, make: Callable[..., optax.GradientTransformation], schedule: Any, **options: float):
        return optax.flatten(make(schedule, b1=self.beta1, b2=self.beta2, eps=self.epsilon, **options))

    def transformation(self, schedule):
        """optax.adam."""
        return self._on_one_vector(optax.adam, schedule)


@register("optimizer", "adamax")
@dataclasses.dataclass(frozen=True)
class Adamax(Adam):
    """Adamax (Kingma and Ba, 2015, Section 7.1): Adam with the largest recent gradient in place of the mean square."""

    def transformation(self, schedule):
        """optax.adamax."""
        return self._on_one_vector(optax.adamax, schedule)


@register("optimizer", "adamw")
@dataclasses.dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019) of all parameters, biases and scales included."""

    weight_decay: float = parameter(1e-4, "weight decay, multiplied by the learning rate", at_least=0)

    def transformation(self, schedule):
        """optax.adamw."""
        return self._on_one_vector(optax.adamw, schedule, weight_decay=self.weight_decay)


@register("optimizer", "muon")
@dataclasses.dataclass(frozen=True)
class Muon(Adam):
    """Muon (Jordan, 2024): orthogonalized momentum for the kernels of hidden layers, and Adam for all other parameters.

    The parts of a flow declare which parameters are hidden kernels; first and last layers, biases, gains and the
    parameters of mixing and normalization are not. One learning rate serves both kinds, since an update of a kernel
    has the root mean square `kernel_rms`, in learning rates, whatever its shape (Liu et al., Muon is Scalable for LLM
    Training, 2025): 0.2 is about that of an update of Adam.

    Attributes:
      kernels: the hidden kernels of the flow that is trained, which `for_flow` sets.
    """

    momentum: float = parameter(0.95, "decay of the mean of the kernels' gradients", at_least=0, below=1)
    kernel_rms: float = parameter(0.2, "root mean square of a kernel's update, in learning rates", above=0, at_most=100)
    kernels: Kernels = ()

    def for_flow(self, flow):
        """Muon with the hidden kernels of the flow."""
        return dataclasses.replace(self, kernels=tuple(hidden_kernels(flow).items()))

    def transformation(self, schedule):
        """Muon for the kernels; optax.adam for the rest."""
        if not self.kernels:
            raise ValueError(
                "expected hidden kernels for the optimizer muon, which made, pixelcnn, and mlp with a single hidden "
                "layer do not have; got none: use another optimizer"
            )
        momentum = orthogonalized_momentum(schedule, self.momentum, self.kernel_rms)
        return for_kernels(self.kernels, momentum, super().transformation(schedule))


@register("optimizer", "schedule_free")
@dataclasses.dataclass(frozen=True)
class ScheduleFree(AdamW):
    """Schedule-free AdamW (Defazio et al., The Road Less Scheduled, 2024).

    With z following AdamW without momentum, and x the average of all z, weighted by the squares of the learning rates,

        gradients are taken at y = (1 - beta1) z + beta1 x, and x is evaluated.

    Running statistics are those of y: with batch normalization, they only approximate those that x would have.
    """

    averages: ClassVar[bool] = True
    beta1: float = parameter(0.9, "share of the average in what is trained", above=0, below=1)

    def transformation(self, schedule):
        """optax.contrib.schedule_free_adamw, whose AdamW works on a single vector."""
        adamw = optax.chain(
            optax.scale_by_rms(decay=self.beta2, eps=self.epsilon, eps_in_sqrt=False, bias_correction=True),
            optax.add_decayed_weights(self.weight_decay),
            optax.scale_by_learning_rate(schedule),
        )
        return optax.contrib.schedule_free(optax.flatten(adamw), schedule, self.beta1)


@register("optimizer", "sgd")
@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """Plain gradient descent."""

    def transformation(self, schedule):
        """optax.sgd."""
        return optax.sgd(schedule)


def check_average(optimizer: Optimizer, ema_decay: float, schedule: str) -> None:
    """Raise ValueError if an optimizer that averages is to be combined with another average, or with a decay."""
    if optimizer.averages and ema_decay:
        raise ValueError(
            f"expected ema_decay of 0 for {type(optimizer).__name__}, which averages the parameters itself; "
            f"got {ema_decay}"
        )
    if optimizer.averages and schedule != "constant":
        raise ValueError(
            f"expected the schedule 'constant', with or without warm-up, for {type(optimizer).__name__}, whose average "
            f"takes the place of a decay; got {schedule!r}"
        )


def optimizer_keys() -> dict[str, tuple[Any, str]]:
    """Config keys, optimizer.parameter -> (default, meaning), of all registered optimizers."""
    return config_keys("optimizer", ("optimizer",))


def learning_rate_schedule(
    learning_rate: float, name: str = "constant", warmup_steps: int = 0, decay_steps: int = 0
) -> optax.Schedule:
    """The learning rate as a function of the number of updates made.

    "constant" and "cosine" rise linearly from 0 over `warmup_steps`; a cosine then falls to 0 at `decay_steps`. With
    "one_cycle" (Smith and Topin, Super-Convergence, 2018), it rises from a 25th over `warmup_steps`, or 30% of
    `decay_steps` if they are 0, and falls to a 250,000th at `decay_steps`, both as half a period of a cosine.

    Raises:
      ValueError: the name is unknown, or a schedule has no steps to decay over.
    """
    if name not in SCHEDULES:
        raise ValueError(f"expected schedule.name to be one of {SCHEDULES}; got {name!r}")
    if name == "one_cycle" and not warmup_steps:
        decay_steps = max(decay_steps, 2)
        warmup_steps = max(3 * decay_steps // 10, 1)
    if name != "constant" and decay_steps <= warmup_steps:
        raise ValueError(f"expected schedule.decay_steps above schedule.warmup_steps={warmup_steps}; got {decay_steps}")
    if name == "one_cycle":
        scales = {warmup_steps: 1 / _FIRST, decay_steps: _LAST}
        return optax.piecewise_interpolate_schedule("cosine", _FIRST * learning_rate, scales)
    if name == "cosine":
        main = optax.cosine_decay_schedule(learning_rate, decay_steps - warmup_steps)
    else:
        main = optax.constant_schedule(learning_rate)
    if warmup_steps == 0:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup_steps), main], [warmup_steps])


def clipped(
    optimizer: Optimizer | optax.GradientTransformation,
    schedule: optax.ScalarOrSchedule | None = None,
    clip_norm: float = 100.0,
) -> optax.GradientTransformation:
    """Clipping of the global gradient norm (0 for none), then the optimizer; optax's need no `schedule`."""
    if isinstance(optimizer, Optimizer):
        assert schedule is not None
        optimizer = optimizer.transformation(schedule)
    if not clip_norm:
        return optimizer
    return optax.chain(optax.flatten(optax.clip_by_global_norm(clip_norm)), optimizer)


def global_norm(tree: Any) -> jax.Array:
    """Euclidean norm of all leaves together, as one reduction."""
    return jnp.linalg.norm(ravel_pytree(tree)[0])


def l2_penalty(trainable: Any, penalized: Collection[str]) -> jax.Array:
    """Sum of squares of the parameters at these paths, which the model's parts declare (`models.declared.penalized`).

    The authors penalize weight-norm gains and the scales of checkerboard couplings.
    """
    leaves: dict[str, Any] = dict(flax.traverse_util.flatten_dict(trainable, sep="/"))
    return sum((jnp.sum(jnp.square(leaves[path])) for path in sorted(penalized)), jnp.zeros(()))
