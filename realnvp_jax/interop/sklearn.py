"""`FlowDensity`: a flow as a scikit-learn estimator of the density of tables, for scores of anomalies among others."""

import numbers
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from realnvp_jax.checks import check_not_constant
from realnvp_jax.models import arguments
from realnvp_jax.models.autoregressive import autoregressive_flow
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.vector import vector_flow
from realnvp_jax.random import root_key
from realnvp_jax.training.fit import fit

_FEWEST_ROWS = 10  # of which some can be held out
_BLOCK = 1024  # rows per evaluation, so that the score of a row does not depend on how many there are
_FURTHEST = 1e20  # standard deviations from the mean; float32 cannot square more, and the log-density is -inf
_LARGEST = 1e150  # standard deviation, whose square float64 holds
_FEWEST_STEPS = 8  # float64 steps per standard deviation; a constant with rounding errors has fewer


class FlowDensity(DensityMixin, BaseEstimator):
    """Density of rows of real numbers by a flow, trained until the log-likelihood of held-out rows stops growing.

    Rows are standardized in float64 before the flow gets them, so that columns may have any units and offsets, such as
    seconds since 1970; densities and samples are in the units of X. A low `score_samples` says that a row is unusual;
    choose the threshold as a quantile of the scores of held-out rows.

    Args:
      flow: an unconditional flow of vectors. None is `vector_flow(n_features)`, and `autoregressive_flow(1)` for a
        single column.
      max_steps: the largest number of updates.
      batch_size: rows per update, at most those that are not held out.
      learning_rate: learning rate of Adam.
      validation_fraction: the fraction of the rows that is held out to decide when to stop. The parameters are those of
        the best validation.
      patience: stop after this many validations in a row without a new best; there is one after every epoch, but at
        least 50 and at most 500 updates apart.
      random_state: seed, `numpy.random.RandomState`, or None for NumPy's global state.
      verbose: whether to show a progress bar.

    Attributes:
      flow_: the flow, whose density is that of the standardized rows, (x - mean_) / scale_.
      params_: its parameters, as NumPy arrays. Outside of scikit-learn, the log-density of x is
        `flow_.log_prob(params_, (x - mean_) / scale_) - np.log(scale_).sum()`.
      mean_: mean of every column, float64.
      scale_: standard deviation of every column, float64.
      history_: the scores during training, a `realnvp_jax.History`.
      n_features_in_: number of columns.
      feature_names_in_: names of the columns, if X had names.

    Example:
      >>> import numpy as np, realnvp_jax
      >>> x = np.random.default_rng(0).normal(size=(200, 2))
      >>> density = realnvp_jax.FlowDensity(max_steps=5, random_state=0).fit(x)
      >>> density.score_samples(x).shape
      (200,)
    """

    def __init__(
        self,
        flow: Flow | None = None,
        *,
        max_steps: int = 2000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        validation_fraction: float = 0.1,
        patience: int = 5,
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.flow = flow
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Train on the rows of X, [n, n_features]; y is ignored.

        Raises:
          TypeError, ValueError: X is not a table of at least ten rows of finite numbers, a column is constant, or
            float64 cannot hold its standard deviation; the flow is of another number of columns, or its support is
            bounded; or a parameter is out of range.
          NonFiniteLossError: the loss is not finite; the message gives the reason.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=_FEWEST_ROWS)  # noqa: N806
        num_rows, num_columns = X.shape
        flow = _default_flow(num_columns) if self.flow is None else self.flow
        if not isinstance(flow, Flow) or flow.event_shape != (num_columns,) or flow.context_size or not _is_real(flow):
            raise ValueError(
                f"expected an unconditional flow of {num_columns} columns of real numbers, such as "
                f"realnvp_jax.vector_flow({num_columns}); got {str(flow)[:200]}"
            )
        fraction = self.validation_fraction
        if not isinstance(fraction, numbers.Real) or not 0 < round(fraction * num_rows) < num_rows:
            raise ValueError(
                f"expected validation_fraction to hold out some of the {num_rows} rows, and not all; got {fraction}"
            )
        num_left = num_rows - round(fraction * num_rows)
        arguments.at_least(1, max_steps=self.max_steps, batch_size=self.batch_size, patience=self.patience)
        mean, scale = _mean_and_deviation(X, list(getattr(self, "feature_names_in_", ())) or None)
        standardized = _standardized(X, mean, scale)
        key = root_key(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        params, history = fit(
            flow,
            flow.init(key, standardized),
            standardized,
            key,
            num_steps=self.max_steps,
            batch_size=min(self.batch_size, num_left),
            learning_rate=self.learning_rate,
            validation=fraction,
            patience=self.patience,
            history=True,
            progress=self.verbose,
        )
        self.flow_, self.params_, self.history_ = flow, jax.device_get(params), history
        self.mean_, self.scale_ = mean, scale
        return self

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Log-density of every row in nats, [n].

        Raises:
          NotFittedError: `fit` has not been called.
          ValueError: X is not a table of finite numbers with the columns of `fit`.
        """
        check_is_fitted(self, "params_")
        X = validate_data(self, X, dtype=np.float64, reset=False)  # noqa: N806
        padded = np.pad(_standardized(X, self.mean_, self.scale_), ((0, -len(X) % _BLOCK), (0, 0)), mode="edge")
        blocks = padded.reshape(-1, _BLOCK, X.shape[1])
        scores = [np.asarray(self.flow_.log_prob(self.params_, block), np.float64) for block in blocks]
        return np.concatenate(scores)[: len(X)] - np.log(self.scale_).sum()

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Mean log-density of the rows in nats; larger is better. y is ignored.

        Raises:
          NotFittedError, ValueError: as `score_samples`.
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Rows drawn from the density, [n_samples, n_features], float64.

        Args:
          n_samples: number of rows.
          random_state: as that of the estimator; None for NumPy's global state.

        Raises:
          NotFittedError: `fit` has not been called.
          ValueError: n_samples is not a positive integer.
        """
        check_is_fitted(self, "params_")
        arguments.at_least(1, n_samples=n_samples)
        key = root_key(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        return np.asarray(self.flow_.sample(self.params_, key, n_samples), np.float64) * self.scale_ + self.mean_


def _default_flow(num_columns: int) -> Flow:
    return autoregressive_flow(1) if num_columns == 1 else vector_flow(num_columns)


def _is_real(flow: Flow) -> bool:
    """Whether the support is every real number, so that standardized rows are within it."""
    return flow.preprocessing.support == (-np.inf, np.inf)


def _standardized(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(values - mean) / scale, computed in float64, in the type that a flow computes in."""
    with np.errstate(over="ignore"):
        return np.clip((values - mean) / scale, -_FURTHEST, _FURTHEST).astype(jnp.result_type(float))


def _mean_and_deviation(values: np.ndarray, names: list[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every column.

    Raises:
      ValueError: a column is constant, or its standard deviation too small or too large for float64.
    """
    check_not_constant(values, names)
    with np.errstate(over="ignore", invalid="ignore"):
        offsets = values - values[0]  # whose sums round less than those of values far from 0
        mean, scale = values[0] + offsets.mean(axis=0), offsets.std(axis=0)
    smallest = np.maximum(1 / _LARGEST, _FEWEST_STEPS * np.spacing(np.abs(values).max(axis=0)))
    bad = np.flatnonzero(~((smallest <= scale) & (scale <= _LARGEST)))  # NaN is bad too
    if bad.size:
        column = int(bad[0])
        name = column if names is None else repr(names[column])
        raise ValueError(
            f"expected columns whose standard deviation float64 can hold, from {smallest[column]:.3g} (for values of "
            f"this size) to {_LARGEST:g}; got {scale[column]:.3g} in column {name}: scale the column, subtract an "
            "offset, or leave it out"
        )
    return mean, scale
