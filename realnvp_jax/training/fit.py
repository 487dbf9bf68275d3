"""`fit`: train any flow on an array in memory, or on a simulator."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from realnvp_jax.models import arguments
from realnvp_jax.models.declared import penalized
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.inputs import checked_params
from realnvp_jax.models.singular import check_invertible
from realnvp_jax.random import threefry_key
from realnvp_jax.training.batch_statistics import check_batch_statistics
from realnvp_jax.training.evaluation import evaluate
from realnvp_jax.training.fit_data import FitData, Simulator, fit_data, rounded_batch
from realnvp_jax.training.fit_options import number_of_steps, transformation, validation_interval
from realnvp_jax.training.non_finite import check_finite_params, reason
from realnvp_jax.training.optimizer import Optimizer
from realnvp_jax.training.parallel import parallel_eval_step
from realnvp_jax.training.state import evaluation_params, initial_state
from realnvp_jax.training.steps import NonFiniteLossError, cost, train_step, unit

_LOOK_EVERY = 50  # steps between checks of the loss, for which the host has to wait
_EVALUATION_BATCH = 1024  # for rows, which are small; images are evaluated batch_size at a time

Callback = Callable[[int, dict[str, float]], Any]  # (number of updates made, metrics) -> True to stop


@dataclasses.dataclass(frozen=True)
class History:
    """The scores during `fit`, in nats per example (larger is better) or bits per dimension (smaller is better).

    Attributes:
      steps: [n], 1 ... n, the numbers of the updates.
      train: [n], score of each update's batch in training mode, before the update.
      validation_steps: [m], the numbers of updates after which `fit` validated.
      validation: [m], means over the validation examples in evaluation mode.
      best_step: the number of updates that led to the parameters that `fit` returns.
    """

    steps: np.ndarray
    train: np.ndarray
    validation_steps: np.ndarray
    validation: np.ndarray
    best_step: int


def fit(
    flow: Flow,
    params: Params,
    x: Any | Simulator,
    key: jax.Array,
    *,
    num_steps: int | None = None,
    num_epochs: int | None = None,
    context: Any = None,
    batch_size: int = 64,
    optimizer: str | Optimizer | optax.GradientTransformation = "adam",
    learning_rate: float | None = None,
    schedule: str | None = None,
    clip_norm: float = 100.0,
    l2: float = 0.0,
    validation: Any = None,
    validate_every: int | None = None,
    patience: int | None = None,
    callback: Callback | None = None,
    history: bool = False,
    progress: bool = True,
) -> Any:
    """Maximum likelihood on the first device; returns new parameters and leaves `params` as they are.

    Scores are nats per example for continuous data (larger is better), and bits per dimension for integer pixels
    (smaller is better). Training continues from `params`, but the optimizer's moments and schedule start afresh, so two
    calls are not equivalent to one with twice the steps.

    Args:
      flow: the flow.
      params: where to start, from `flow.init(key, x)`, which also standardizes vectors, or from an earlier `fit`.
      x: the examples, [n, *event_shape]: integer pixels, dequantized again in every step, or continuous values; an
        array, or a data frame of numbers. Or a simulator: a function (key, batch_size) -> x, or (x, context) for a
        conditional flow, that draws every batch afresh.
      key: random key of the noise, of the order of the examples, of a held-out fraction, and of the simulator.
      num_steps: number of updates; either this or num_epochs.
      num_epochs: number of passes through x (the last update may run into a further pass); not for a simulator.
      context: what the examples are conditioned on, [n, context_size], if the flow is conditional.
      batch_size: examples per update. If there are fewer images, they are repeated; fewer vectors are refused.
      optimizer: a registered name (adam, adamax, adamw, muon, schedule_free, sgd), an object such as
        realnvp_jax.Adam(beta2=0.99), or any transformation of optax, which has its own learning rate.
      learning_rate: learning rate of a named optimizer or an object; None is 1e-3.
      schedule: schedule of this learning rate: constant (None), cosine to zero at the last step, or one_cycle (up to
        the learning rate over 30% of the updates, then down to almost zero).
      clip_norm: bound on the global norm of the gradients of nats per example, which are clipped before they reach any
        optimizer, including optax's; 0 for none.
      l2: weight of the authors' penalty on gains and scales.
      validation: what to validate on, in evaluation mode and with the same noise every time: a fraction of x to hold
        out (chosen by `key`), examples like x, or (examples, context). `fit` then returns the parameters of the best
        validation.
      validate_every: updates between validations; one always follows the last update. None is an epoch, but at least 50
        and at most 500 updates; with a simulator it is 500.
      patience: stop after this many validations in a row without a new best.
      callback: called as callback(step, metrics) after every 50th update, every validation and the last update, with
        the mean since the last call as metrics["train"] and, after a validation, metrics["validation"]. If it returns
        True, training ends. Its exceptions are not caught.
      history: whether to return (params, `History`).
      progress: whether to show a progress bar.

    Returns:
      Parameters, or (parameters, `History`).

    Raises:
      TypeError: x is of a type that the flow does not take, or `optimizer` is not an optimizer.
      ValueError: x has another shape than [n, *event_shape], no examples, NaN or infinite values, or values outside the
        flow's support; a column of vectors is constant, varies too little for float32, or is a linear function of
        others; there are fewer vectors than batch_size; the context does not fit x and the flow, or has a column that
        varies too little for float32; parameters are not finite or a matrix is singular; a number is out of range; or
        arguments exclude each other.
      NonFiniteLossError: the loss is not finite; the message gives the reason.

    Example:
      >>> import jax, numpy as np, realnvp_jax
      >>> x = np.random.default_rng(0).normal(size=(200, 2))
      >>> flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(8,))
      >>> params = flow.init(jax.random.key(0), x)
      >>> params = realnvp_jax.fit(flow, params, x, jax.random.key(1), num_steps=5, progress=False)
    """
    arguments.at_least(1, batch_size=batch_size)
    arguments.check_nonnegative(clip_norm=clip_norm, l2=l2)
    if l2 and not penalized(flow):
        raise ValueError(f"expected l2 of 0, since no part of this flow has a parameter that it penalizes; got {l2}")
    check_batch_statistics(flow, batch_size)
    params = checked_params(params)
    check_finite_params(params)
    check_invertible(flow, params, "start from other parameters")
    order_key, noise_key = jax.random.split(threefry_key(key))
    data = fit_data(flow, x, context, validation, batch_size, order_key)
    num_steps = number_of_steps(num_steps, num_epochs, data, batch_size)
    validate_every = validation_interval(validate_every, patience, data, batch_size)
    update = transformation(flow, optimizer, learning_rate, schedule, clip_norm, num_steps, params)
    step_fn = _compiled_step(flow, update, l2)
    state = initial_state(jax.tree.map(jnp.array, params), update)
    record = _Record(flow)
    pending = []
    with tqdm(total=num_steps, unit="step", disable=not progress or None) as bar:
        for step in range(1, num_steps + 1):
            state, metrics = step_fn(state, rounded_batch(data.draw(step - 1)), noise_key)
            pending.append(metrics)
            bar.update()
            validates = data.validation is not None and (step % validate_every == 0 or step == num_steps)
            if not validates and step % _LOOK_EVERY and step < num_steps:
                continue
            report = {"train": record.add_train(pending, params, data, state.params)}
            pending = []
            if validates:
                report["validation"] = record.validate(evaluation_params(state), step, data, batch_size)
            bar.set_postfix_str(", ".join(f"{name} {value:.3f}" for name, value in report.items()) + f" {unit(flow)}")
            stops = callback is not None and _is_true(callback(step, report))
            if stops or (patience is not None and record.validations_since_best >= patience):
                break
    fitted = evaluation_params(state) if data.validation is None else record.best_params()
    return (fitted, record.history()) if history else fitted


@functools.lru_cache(maxsize=8)
def _compiled_step(flow: Flow, update: optax.GradientTransformation, l2: float) -> Callable[..., Any]:
    """The compiled training step, kept so that a second `fit` of the same flow does not compile again."""
    return jax.jit(functools.partial(train_step, flow=flow, optimizer=update, l2=l2), donate_argnums=0)


class _Record:
    """The scores so far, and the parameters of the best validation."""

    def __init__(self, flow: Flow):
        self._flow = flow
        self._train: list[float] = []
        self._validation: dict[int, float] = {}
        self._best: tuple[int, Any] | None = None
        self.validations_since_best = 0

    def add_train(self, pending: list[dict[str, jax.Array]], params: Params, data: FitData, current: Params) -> float:
        """Add the metrics of updates, and return the mean of their scores."""
        values = np.array([[m["score"], m["gradient_norm"]] for m in jax.device_get(pending)], np.float64)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            step = len(self._train) + int(np.argmin(finite))
            why = reason(self._flow, params, data.draw(step), current)
            raise NonFiniteLossError(f"loss or gradient is not finite at step {step + 1}: {why}")
        self._train += values[:, 0].tolist()
        return float(values[:, 0].mean())

    def validate(self, params: Params, step: int, data: FitData, batch_size: int) -> float:
        """Add the validation score of parameters, and keep a copy of them if it is the best."""
        assert data.validation is not None
        size = max(batch_size, _EVALUATION_BATCH) if len(self._flow.event_shape) == 1 else batch_size
        scores = evaluate(parallel_eval_step(self._flow), params, data.validation, size)
        score = self._validation[step] = float(scores.mean(dtype=np.float64))
        self.validations_since_best += 1
        best = math.inf if self._best is None else cost(self._flow, self._validation[self._best[0]])
        if cost(self._flow, score) < best:
            self._best = step, jax.tree.map(jnp.copy, params)  # the next update reuses the memory of `params`
            self.validations_since_best = 0
        return score

    def best_params(self) -> Any:
        """The parameters of the best validation."""
        if self._best is None:
            raise NonFiniteLossError(
                f"expected a finite validation score; got {list(self._validation.values())[-1]} in the last of "
                f"{len(self._validation)}, and none before: look for outliers among the validation examples"
            )
        return self._best[1]

    def history(self) -> History:
        """The scores so far, as a `History`."""
        return History(
            steps=np.arange(1, len(self._train) + 1),
            train=np.array(self._train),
            validation_steps=np.array(list(self._validation), int),
            validation=np.array(list(self._validation.values())),
            best_step=len(self._train) if self._best is None else self._best[0],
        )


def _is_true(returned: Any) -> bool:
    """Whether a callback returned a true boolean, of Python, NumPy or JAX."""
    return isinstance(returned, bool | np.bool_ | jax.Array) and bool(returned)
