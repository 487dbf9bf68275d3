"""Test log-density of the toy data under the law itself, a kernel density estimate and the flows of configs/toy2d.py.

    python tests/benchmarks/toy2d.py moons smiley circles --runs runs
    python tests/benchmarks/toy2d.py moons smiley circles --points 2000

The first form evaluates on the config's 100,000 test points. The kernel density estimate is fitted to 2,000 points, its
bandwidth chosen by ten-fold cross-validation; the flows are the finished runs of `python train.py
--config=configs/toy2d.py:NAME`, in RUNS/toy2d_NAME (affine) and RUNS/toy2d_NAME_spline, and those of
configs/toy2d_ar.py, in RUNS/toy2d_ar_NAME. The second form trains every
method on the same 2,000 points: flows on 1,600 of them with Gaussian noise, stopped by the other 400.

Log-densities are in nats a point, higher is better. The law is integrated numerically where it has no closed form.
"""

import argparse
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from realnvp_jax.data.vectors.loading import load_vectors
from realnvp_jax.data.vectors.toy import Toy, sample_toy
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step

SPLITS = {"train": "train", "validation": "validation", "test": "test"}


def noisy_curves(x: np.ndarray, curves: list[np.ndarray], deviation: float) -> np.ndarray:
    """Log-density of a uniformly chosen curve, a uniformly chosen place on it, and Gaussian noise."""
    density = np.zeros(len(x))
    for curve in curves:
        squared = (x**2).sum(1)[:, None] + (curve**2).sum(1)[None] - 2 * x @ curve.T
        density += np.exp(-0.5 * squared / deviation**2).mean(1) / len(curves)
    return np.log(density) - np.log(2 * np.pi * deviation**2)


def law(name: str, x: np.ndarray) -> np.ndarray | None:
    """Log-density of the law that `sample_toy` draws from, where it is simple to write down."""
    half = np.linspace(0, np.pi, 801)
    arc = np.stack([np.cos(half), np.sin(half)], axis=1)
    whole = np.linspace(0, 2 * np.pi, 1600, endpoint=False)
    circle = np.stack([np.cos(whole), np.sin(whole)], axis=1)
    curves = {
        "moons": ([arc, np.array([1.0, 0.5]) - arc], 0.1),
        "circles": ([circle, 0.5 * circle], 0.05),
        "smiley": ([np.array([[-1.5, 2.5]]), np.array([[1.5, 2.5]]), arc * [2, -1]], 0.2),
    }
    if name == "random":
        return np.zeros(len(x))
    if name not in curves:
        return None
    return np.concatenate([noisy_curves(part, *curves[name]) for part in np.array_split(x.astype(np.float64), 100)])


def kernel_density(points: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, float]:
    """(log-density of the test points, bandwidth)."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KernelDensity

    search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.02, 0.5, 25)}, cv=10).fit(points)
    return search.best_estimator_.score_samples(test), search.best_params_["bandwidth"]


def fit_to_few(points: np.ndarray, transform: str, steps: int = 3000) -> tuple[realnvp_jax.Flow, dict, int]:
    """(flow, parameters of the best step by the held-out fifth, that step)."""
    train, held_out = points[400:], points[:400]
    flow = realnvp_jax.vector_flow(2, num_layers=8, hidden=(64, 64), transform=transform)
    optimizer = clipped(Adam(), 1e-3, 10.0)
    state = create_state(flow, jax.random.key(0), optimizer, 0.99, jnp.asarray(train))
    noise = 0.03 * train.std(axis=0)
    step = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer, noise=noise, ema_decay=0.99))
    random, best = np.random.default_rng(0), (-np.inf, state.ema, 0)
    for i in range(1, steps + 1):
        state, _ = step(state, {"x": train[random.choice(len(train), 400, replace=False)]}, jax.random.key(1))
        if i % 100 == 0:
            score = float(flow.log_prob(state.ema, held_out).mean())
            best = max(best, (score, state.ema, i), key=lambda candidate: candidate[0])
    return flow, best[1], best[2]


def show(name: str, method: str, log_prob: np.ndarray) -> None:
    mean, standard_error = mean_and_standard_error(log_prob)
    print(f"{name}: {method}: {mean:.3f} +- {standard_error:.3f} nats ({len(log_prob)} points)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--points", type=int, default=0, help="train every method on this many points")
    options = parser.parse_args()
    for name in options.names:
        test = load_vectors(Toy(name), SPLITS).test.x
        few = sample_toy(name, options.points or 2000, (1, 0))
        truth = law(name, test)
        if truth is not None:
            show(name, "the law itself", truth)
        log_prob, bandwidth = kernel_density(few, test)
        show(name, f"kernel density estimate, {len(few)} points, bandwidth {bandwidth:.3f}", log_prob)
        if options.points:
            for transform in ("affine", "spline"):
                flow, params, step = fit_to_few(few, transform)
                show(name, f"{transform} flow, {len(few)} points, step {step}", np.asarray(flow.log_prob(params, test)))
            continue
        runs = {"affine": f"toy2d_{name}", "spline": f"toy2d_{name}_spline", "autoregressive": f"toy2d_ar_{name}"}
        for kind, run in runs.items():
            if (options.runs / run / "result.json").is_file():
                result = json.loads((options.runs / run / "result.json").read_text())
                print(
                    f"{name}: {kind} flow, {options.runs / run}: {result['mean']:.3f} +- "
                    f"{result['standard_error']:.3f} nats, density sums to {result['density_sum']:.4f}"
                )
            else:
                print(f"{name}: {kind} flow: no finished run in {options.runs / run}")


if __name__ == "__main__":
    main()
