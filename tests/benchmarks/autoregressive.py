"""Speed of autoregressive flows beside RealNVP: densities and samples per second, on the machine at hand.

    python -m tests.benchmarks.autoregressive

A density of an autoregressive flow takes one evaluation of its conditioner, a sample one step for each of its D
elements; RealNVP takes one pass for either. The flows have untrained but perturbed parameters. MADE and the couplings
of RealNVP have two hidden layers of 128; the images are 20x20, by the models of configs/shapes_pixelcnn.py and
shapes.py.

"steps" is the time to sample by the time of D evaluations of the conditioner on the same batch. For MADE of few
dimensions it is above 1, since most of a step is the search for the quantiles; PixelCNN evaluates one pixel in a step.
All are measured in one process, in random order, medians.
"""

import argparse
import random
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from configs import shapes, shapes_pixelcnn
from tests.benchmarks.vectors import visit
from tests.helpers import perturb

REPEATS = 7


def cases() -> dict[str, tuple[realnvp_jax.Flow, int]]:
    """Flows and batch sizes."""
    flows = {}
    for num_dims in (2, 8, 63):
        flows[f"MADE, D = {num_dims}"] = realnvp_jax.autoregressive_flow(num_dims), 512
        flows[f"RealNVP, D = {num_dims}"] = realnvp_jax.vector_flow(num_dims), 512
    flows["PixelCNN, 20x20"] = realnvp_jax.create(shapes_pixelcnn.get_config()), 64
    flows["RealNVP, 20x20"] = realnvp_jax.create(shapes.get_config()), 64
    return flows


def conditioner_of(flow: realnvp_jax.Flow, params):
    """A compiled x -> parameters of all elements, or None."""
    bijection, trainable = flow.bijection, params["params"]
    if isinstance(bijection, realnvp_jax.RealNVP | realnvp_jax.VectorRealNVP):
        return None
    if hasattr(bijection, "conditioner") and not isinstance(bijection.conditioner, str):
        network, variables = bijection.conditioner, trainable["conditioner"]
    else:
        network = bijection.bind({"params": trainable}).map.conditioner.clone(parent=None, name=None)
        variables = trainable["map"]["conditioner"]
    return jax.jit(lambda x: network.apply({"params": variables}, x))


def tasks(flow: realnvp_jax.Flow, batch_size: int) -> dict:
    """Functions that do the tasks and return when the result is there, and the seconds to compile sampling."""
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), size=0.02)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(batch_size, *flow.event_shape)), jnp.float32)
    if flow.levels is not None:
        x = jnp.clip(1 + x, 0.01, 1.99)
    key, shape = jax.random.key(2), (batch_size,)
    start = time.perf_counter()
    flow.sample(params, key, shape).block_until_ready()
    compilation = time.perf_counter() - start
    conditioner = conditioner_of(flow, params)
    functions = {
        "density": lambda: flow.log_prob(params, x).block_until_ready(),
        "sample": lambda: flow.sample(params, key, shape).block_until_ready(),
    }
    if conditioner is not None:
        functions["conditioner"] = lambda: conditioner(x).block_until_ready()
    return {"compilation": compilation, "functions": functions}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    measured = {name: tasks(*case) for name, case in cases().items()}
    calls = {(name, task): f for name, t in measured.items() for task, f in t["functions"].items()}
    times = {key: [] for key in calls}
    generator = random.Random(0)
    for _ in range(REPEATS):
        for key in generator.sample(list(calls), len(calls)):
            times[key] += visit(calls[key])
    print(
        f"{'':<18}{'batch':>6}{'densities/s':>14}{'samples/s':>14}{'ms a batch':>12}{'steps':>8}{'first call, s':>15}"
    )
    for name, (flow, batch_size) in cases().items():
        density, sample = (statistics.median(times[name, task]) for task in ("density", "sample"))
        steps = ""
        if (name, "conditioner") in times:
            steps = f"{sample / flow.num_dims / statistics.median(times[name, 'conditioner']):.2f}"
        print(
            f"{name:<18}{batch_size:>6}{batch_size / density:>14,.0f}{batch_size / sample:>14,.0f}{1e3 * sample:>12.1f}"
            f"{steps:>8}{measured[name]['compilation']:>10.1f}"
        )


if __name__ == "__main__":
    main()
