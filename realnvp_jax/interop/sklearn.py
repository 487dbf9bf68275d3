"""`FlowDensity`: a flow as a scikit-learn estimator of the density of tables, for scores of anomalies among others."""

import numbers
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from realnvp_jax.models import arguments
from realnvp_jax.models.autoregressive import autoregressive_flow
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.vector import vector_flow
from realnvp_jax.random import root_key
from realnvp_jax.training.fit import fit

_FEWEST_ROWS = 10  # of which some can be held out
_BLOCK = 1024  # rows per evaluation, so that the score of a row does not depend on how many there are


class FlowDensity(DensityMixin, BaseEstimator):
    """Density of rows of real numbers by a flow, trained until the log-likelihood of held-out rows stops growing.

    Rows are standardized within the flow, so that columns may have any units; densities are in the units of X. A low
    `score_samples` says that a row is unusual; choose the threshold as a quantile of the scores of held-out rows.

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
      flow_: the flow.
      params_: its parameters, as NumPy arrays: `flow_.log_prob(params_, x)` is the density outside of scikit-learn.
      history_: the scores during training, a `realnvp_jax.History`.
      n_features_in_: number of columns.
      feature_names_in_: names of the columns, if X had names.
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
          TypeError, ValueError: X is not a table of at least ten rows of finite numbers, a column is constant, the flow
            is of another number of columns, or a parameter is out of range.
          NonFiniteLossError: the loss is not finite; the message gives the reason.
        """
        X = validate_data(self, X, dtype=_dtype(), ensure_min_samples=_FEWEST_ROWS)  # noqa: N806
        num_rows, num_columns = X.shape
        flow = _default_flow(num_columns) if self.flow is None else self.flow
        if not isinstance(flow, Flow) or flow.event_shape != (num_columns,) or flow.context_size:
            raise ValueError(
                f"expected an unconditional flow of {num_columns} columns, such as "
                f"realnvp_jax.vector_flow({num_columns}); got {str(flow)[:200]}"
            )
        fraction = self.validation_fraction
        if not isinstance(fraction, numbers.Real) or not 0 < round(fraction * num_rows) < num_rows:
            raise ValueError(
                f"expected validation_fraction to hold out some of the {num_rows} rows, and not all; got {fraction}"
            )
        num_left = num_rows - round(fraction * num_rows)
        arguments.at_least(1, max_steps=self.max_steps, batch_size=self.batch_size, patience=self.patience)
        key = root_key(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        params, self.history_ = fit(
            flow,
            flow.init(key, X),
            X,
            key,
            num_steps=self.max_steps,
            batch_size=min(self.batch_size, num_left),
            learning_rate=self.learning_rate,
            validation=fraction,
            patience=self.patience,
            history=True,
            progress=self.verbose,
        )
        self.flow_, self.params_ = flow, jax.device_get(params)
        return self

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Log-density of every row in nats, [n].

        Raises:
          NotFittedError: `fit` has not been called.
          ValueError: X is not a table of finite numbers with the columns of `fit`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_dtype(), reset=False)  # noqa: N806
        blocks = np.pad(X, ((0, -len(X) % _BLOCK), (0, 0)), mode="edge").reshape(-1, _BLOCK, X.shape[1])
        scores = [np.asarray(self.flow_.log_prob(self.params_, block), np.float64) for block in blocks]
        return np.concatenate(scores)[: len(X)]

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Mean log-density of the rows in nats; larger is better. y is ignored.

        Raises:
          NotFittedError, ValueError: as `score_samples`.
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Rows drawn from the density, [n_samples, n_features].

        Args:
          n_samples: number of rows.
          random_state: as that of the estimator; None for NumPy's global state.

        Raises:
          NotFittedError: `fit` has not been called.
          ValueError: n_samples is not a positive integer.
        """
        check_is_fitted(self)
        arguments.at_least(1, n_samples=n_samples)
        key = root_key(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        return np.asarray(self.flow_.sample(self.params_, key, n_samples))


def _default_flow(num_columns: int) -> Flow:
    return autoregressive_flow(1) if num_columns == 1 else vector_flow(num_columns)


def _dtype() -> np.dtype:
    """The type that a flow computes in."""
    return np.dtype(jnp.result_type(float))
