"""Test log-density of a Gaussian with full covariance on the tables of configs/tabular.py, for perspective.

    python -m tests.benchmarks.gaussians breast_cancer wine synthetic_table gaussian_mixture

Fitted to the training split that a flow is trained on, evaluated on its test split. The second number shrinks the
covariance (Ledoit and Wolf 2004, of standardized columns), which helps where rows are few. gaussian_mixture also shows
the log-density of the law that the points were drawn from.
"""

import sys

import numpy as np
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

from configs import tabular
from realnvp_jax.data.named import find_dataset
from realnvp_jax.data.vectors.loading import VectorOptions, load_vectors
from realnvp_jax.data.vectors.mixture import GaussianMixture
from realnvp_jax.likelihood import mean_and_standard_error


def log_density(train: np.ndarray, test: np.ndarray, estimator) -> np.ndarray:
    mean, deviation = train.mean(0), train.std(0)
    fitted = estimator.fit((train - mean) / deviation)
    precision = fitted.get_precision()
    z = (test - mean) / deviation - fitted.location_
    squared = np.einsum("ni,ij,nj->n", z, precision, z)
    dims = train.shape[1]
    return 0.5 * (np.linalg.slogdet(precision)[1] - squared - dims * np.log(2 * np.pi)) - np.log(deviation).sum()


def main(names: list[str]) -> None:
    for name in names:
        dataset = tabular.get_config(name).dataset
        split_names = {role: dataset[role] for role in ("train", "validation", "test")}
        splits = load_vectors(
            find_dataset(dataset, of_images=False), split_names, VectorOptions(discrete=dataset.discrete)
        )
        train, test = splits.train.x.astype(np.float64), splits.test.x.astype(np.float64)
        shown = {
            "Gaussian": log_density(train, test, EmpiricalCovariance()),
            "Gaussian, shrunk": log_density(train, test, LedoitWolf()),
        }
        if name == "gaussian_mixture":
            shown["the law itself"] = GaussianMixture().log_density(splits.test.x)
        for method, values in shown.items():
            mean, standard_error = mean_and_standard_error(values)
            print(f"{name}: {method}: {mean:.3f} +- {standard_error:.3f} nats ({len(test)} rows)")


if __name__ == "__main__":
    main(sys.argv[1:] or ["breast_cancer", "wine", "synthetic_table", "gaussian_mixture"])
