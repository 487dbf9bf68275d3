"""`fit` beside flowjax's `fit_to_data`: two moons, from the same 2,000 points, with the same kind of flow.

    python tests/benchmarks/fit.py               # both, if flowjax is installed
    python tests/benchmarks/fit.py realnvp_jax   # or one of them

Both hold out a tenth of the points, stop when 20 epochs have not improved validation, and return the best parameters.
Both flows are 8 spline couplings with two hidden layers of 64 and 8 bins on [-4, 4]; batches of 100, Adam at 1e-3.
Prints the mean log-density of the same 10,000 new points in nats with its standard error, the seconds, compilation
included, and the lines of code of each.
"""

import inspect
import sys
import time
from pathlib import Path

import numpy as np

NEW_POINTS = 10_000


def realnvp_jax(x: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Log-densities of new points, by this package."""
    import jax

    import realnvp_jax

    flow = realnvp_jax.vector_flow(2, num_layers=8, hidden=(64, 64), transform="spline", tail_bound=4.0)
    params = realnvp_jax.fit(
        flow, flow.init(jax.random.key(0), x), x, jax.random.key(1), num_epochs=200, batch_size=100, validation=0.1,
        validate_every=18, patience=20, progress=False,
    )  # fmt: skip
    return np.asarray(flow.log_prob(params, new))


def flowjax(x: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Log-densities of new points, by flowjax."""
    import equinox
    import jax
    import jax.numpy as jnp
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow
    from flowjax.train import fit_to_data

    mean, std = x.mean(0), x.std(0)
    flow = coupling_flow(
        jax.random.key(0), base_dist=Normal(jnp.zeros(2)), flow_layers=8, nn_width=64, nn_depth=2,
        transformer=RationalQuadraticSpline(knots=8, interval=4),
    )  # fmt: skip
    flow, _ = fit_to_data(
        jax.random.key(1), flow, (x - mean) / std, learning_rate=1e-3, max_epochs=200, max_patience=20,
        show_progress=False,
    )  # fmt: skip
    return np.asarray(equinox.filter_jit(flow.log_prob)((new - mean) / std)) - np.log(std).sum()


def main(names: list[str]) -> None:
    """Print a row for each."""
    from realnvp_jax.data.vectors.toy import sample_toy

    x, new = sample_toy("moons", 2_000, seed=0), sample_toy("moons", NEW_POINTS, seed=1)
    for name in names:
        function = {"realnvp_jax": realnvp_jax, "flowjax": flowjax}[name]
        start = time.perf_counter()
        log_prob = function(x, new).astype(np.float64)
        seconds = time.perf_counter() - start
        lines = len(inspect.getsource(function).splitlines()) - 2  # without the first line and the docstring
        error = log_prob.std(ddof=1) / np.sqrt(NEW_POINTS)
        print(f"{name:12} {log_prob.mean():.3f} +- {error:.3f} nats {seconds:6.1f} s {lines:3} lines", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(sys.argv[1:] or ["realnvp_jax", "flowjax"])
