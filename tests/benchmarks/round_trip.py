"""How exactly every family of flows is inverted in float32, with weights that are perturbed at random.

    python -m tests.benchmarks.round_trip [--sizes 0.1 0.5 1.0] [--families image glow ...] [--examples 200]

Every trainable parameter of a fresh flow gets N(0, size^2) added. The table has, for each family and size,

    x -> z -> x     largest and median over the examples of the largest error of an example's values, in the data's
                    units (pixels are 1 apart; columns have standard deviation 1)
    sample          largest and median |log q - log_prob(x)| in nats, (x, log q) = sample_and_log_prob(...)
    float64         the largest errors of the same parameters and examples in double precision
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from realnvp_jax import Flow
from tests.helpers import perturb

IMAGE = ((8, 8, 1), 2)
RESNET = {"base_features": 4, "num_blocks": 1}
LAYERS = {"num_layers": 4, "hidden": (16,)}
PIXELCNN = {"event_shape": (6, 6, 1), "num_components": 5, "features": 8, "num_blocks": 1}
SPLINE = {"transform": "spline", "normalization": "act_norm"}

FAMILIES = {
    "image": lambda: realnvp_jax.image_flow(*IMAGE, **RESNET),
    "image, act norm": lambda: realnvp_jax.image_flow(*IMAGE, **RESNET, normalization="act_norm"),
    "image, spline": lambda: realnvp_jax.image_flow(*IMAGE, **RESNET, **SPLINE),
    "glow": lambda: realnvp_jax.glow_flow(*IMAGE, 2, **RESNET),
    "vector": lambda: realnvp_jax.vector_flow(4, **LAYERS),
    "vector, context": lambda: realnvp_jax.vector_flow(4, **LAYERS, context=2),
    "vector, spline": lambda: realnvp_jax.vector_flow(4, **LAYERS, transform="spline"),
    "vector, spline, lu, act norm": lambda: realnvp_jax.vector_flow(4, **LAYERS, **SPLINE, masks="learned"),
    "autoregressive": lambda: realnvp_jax.autoregressive_flow(4, 5, (16,)),
    "autoregressive, normal base": lambda: realnvp_jax.autoregressive_flow(4, 5, (16,), base="normal"),
    "MAF": lambda: realnvp_jax.masked_autoregressive_flow(4, **LAYERS),
    "MAF, spline, act norm": lambda: realnvp_jax.masked_autoregressive_flow(4, **LAYERS, **SPLINE),
    "IAF": lambda: realnvp_jax.masked_autoregressive_flow(4, **LAYERS, inverse=True),
    "PixelCNN": lambda: realnvp_jax.pixelcnn_flow(**PIXELCNN),
    "PixelCNN, normal base": lambda: realnvp_jax.pixelcnn_flow(**PIXELCNN, base="normal"),
}


def errors(flow: Flow, params, x, context, key, num: int) -> tuple[np.ndarray, np.ndarray]:
    """(error of every example's round trip, error of every sample's log_prob)."""
    z, _ = flow.forward(params, x, context)
    back = flow.inverse(params, jnp.clip(z, *flow.base.support), context)[0]
    trip = np.abs(np.asarray(back, np.float64) - np.asarray(x, np.float64)).reshape(num, -1).max(axis=1)
    one = None if context is None else context[0]
    samples, said = flow.sample_and_log_prob(params, key, (num,), context=one)
    true = flow.log_prob(params, samples, one)
    return trip, np.abs(np.asarray(said, np.float64) - np.asarray(true, np.float64))


def measure(name: str, size: float, num: int) -> list[float]:
    """Largest and median errors in float32, and the largest in float64."""
    flow = FAMILIES[name]()
    random = np.random.default_rng(0)
    context = random.standard_normal((num, flow.context_size)).astype(np.float32) if flow.context_size else None
    if flow.levels:
        x = np.asarray(flow.dequantize(jax.random.key(1), random.integers(0, 256, (num, *flow.event_shape))))
    else:
        x = random.standard_normal((num, *flow.event_shape)).astype(np.float32)
    params = flow.init(jax.random.key(0), x, context)
    params = {**params, "params": perturb(params["params"], jax.random.key(2), size)}
    trip, said = errors(flow, params, x, context, jax.random.key(3), num)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        wide = None if context is None else context.astype(np.float64)
        trip64, said64 = errors(flow, double, x.astype(np.float64), wide, jax.random.key(3), num)
    return [trip.max(), np.median(trip), said.max(), np.median(said), trip64.max(), said64.max()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.1, 0.5, 1.0])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--examples", type=int, default=200)
    arguments = parser.parse_args()
    print("| family | size | x -> z -> x | median | sample | median | x -> z -> x, float64 | sample, float64 |")
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.families:
        for size in arguments.sizes:
            values = measure(name, size, arguments.examples)
            print(f"| {name} | {size} | " + " | ".join(f"{value:.1e}" for value in values) + " |", flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    main()
