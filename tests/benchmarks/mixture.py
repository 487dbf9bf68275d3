"""KL divergence from a known mixture of 4 Gaussians in 8 dimensions to flows trained on it.

    python train.py --config=configs/tabular.py:gaussian_mixture
    python tests/benchmarks/mixture.py --run runs/tabular_gaussian_mixture --steps 20000
    python tests/benchmarks/mixture.py --run runs/tabular_maf_gaussian_mixture --steps 0

The mixture is `realnvp_jax.data.vectors.mixture.GaussianMixture()`. The run was trained on 50,000 points; with steps,
a larger flow is trained here on fresh samples in every step. KL(law | flow) = E[log p - log q], a mean over 100,000
points.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from realnvp_jax.data.vectors.mixture import GaussianMixture
from realnvp_jax.likelihood import mean_and_standard_error

MIXTURE = GaussianMixture()


def simulator():
    """A compiled (key, n) -> x that draws from the mixture."""
    factors = jnp.asarray(MIXTURE.rotations * MIXTURE.deviations[:, None, :], jnp.float32)
    means = jnp.asarray(MIXTURE.means, jnp.float32)

    def draw(key, num):
        which_key, noise_key = jax.random.split(key)
        which = jax.random.randint(which_key, (num,), 0, len(means))
        noise = jax.random.normal(noise_key, (num, means.shape[1]))
        return means[which] + jnp.einsum("nij,nj->ni", factors[which], noise)

    return jax.jit(draw, static_argnums=1)


def show(method: str, flow, params) -> None:
    x = MIXTURE.sample(np.random.default_rng([0, 9]), 100_000)
    difference = MIXTURE.log_density(x) - np.asarray(flow.log_prob(params, x), np.float64)
    mean, standard_error = mean_and_standard_error(difference)
    print(f"{method}: KL {mean:.4f} +- {standard_error:.4f} nats", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/tabular_gaussian_mixture"))
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    show(f"{options.run}, 50,000 points", *realnvp_jax.load(options.run))
    if not options.steps:
        return
    flow = realnvp_jax.vector_flow(
        8, num_layers=8, hidden=(128, 128), masks="learned", transform="spline", activation="silu"
    )
    params = flow.init(jax.random.key(0), MIXTURE.sample(np.random.default_rng([0, 0]), 50_000))
    show("at initialization, a Gaussian", flow, params)
    fresh = realnvp_jax.fit(
        flow,
        params,
        simulator(),
        jax.random.key(1),
        num_steps=options.steps,
        batch_size=512,
        learning_rate=1e-3,
        schedule="cosine",
        clip_norm=10.0,
    )
    show(f"fresh samples in each of {options.steps} steps of 512", flow, fresh)


if __name__ == "__main__":
    main()
