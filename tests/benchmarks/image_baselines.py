"""Bits per dimension of two simple densities on the digits and on the shapes, for perspective.

    python -m tests.benchmarks.image_baselines digits shapes

An independent histogram for each pixel (0.1 added to every count), and a Gaussian with full covariance in logit space,
both fitted to the training split of configs/digits.py or configs/shapes.py and evaluated on its test split as a flow
is.
"""

import sys
from importlib import import_module

import jax
import numpy as np

import realnvp_jax
from realnvp_jax.data.images.baselines import histogram_bits
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.runs.setup import load_data


def gaussian_bits(train: np.ndarray, test: np.ndarray, flow: realnvp_jax.Flow) -> np.ndarray:
    def logits(images, seed):
        y, log_derivative = flow.preprocessing.forward(flow.dequantize(jax.random.key(seed), images))
        return np.asarray(y, np.float64).reshape(len(images), -1), np.asarray(log_derivative, np.float64).sum((1, 2, 3))

    fitted = np.concatenate([logits(train, seed)[0] for seed in range(1, 9)])
    mean, factor = fitted.mean(0), np.linalg.cholesky(np.cov(fitted.T))
    y, log_derivative = logits(test, 0)
    white = np.linalg.solve(factor, (y - mean).T)
    log_prob = -0.5 * (white**2).sum(0) - np.log(np.diag(factor)).sum() - len(mean) / 2 * np.log(2 * np.pi)
    return -(log_prob + log_derivative) / (len(mean) * np.log(2))


def main(names: list[str]) -> None:
    for name in names:
        config = import_module(f"configs.{name}").get_config()
        flow = realnvp_jax.create(config)
        data = load_data(config, flow)
        for method, bits in (
            ("independent-pixel histogram", histogram_bits(data.train.x, data.test.x, config.model.levels)),
            ("Gaussian in logit space", gaussian_bits(data.train.x, data.test.x, flow)),
        ):
            mean, standard_error = mean_and_standard_error(bits)
            print(f"{name}: {method}: {mean:.3f} +- {standard_error:.3f} bits/dim ({len(bits)} examples)")


if __name__ == "__main__":
    main(sys.argv[1:] or ["digits", "shapes"])
