"""Speed, compile time and size of the training steps of configs.

    python -m tests.benchmarks.training_steps cifar10 cifar10_ten_minutes,batch_size=16
    python -m tests.benchmarks.training_steps cifar10,batch_size=256 cifar10,batch_size=256,dtype=bfloat16 --jobs 8

A case is the name of a config and overrides, separated by commas. All cases are compiled first, `--jobs` at a time (the
seconds of compiling are then those of programs that compile beside each other), and timed in turn afterwards, a bfloat16
matrix product included: compare the ratios of one run. Parameters are random numbers and images are noise: neither
matters for the time. GFLOP counts the convolutions and matrix products of one pass over one image; a training step is
counted as three passes.
"""

import argparse
import functools
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models import pure
from realnvp_jax.models.create import create
from realnvp_jax.runs.config_keys import with_overrides
from realnvp_jax.runs.named_configs import get_config
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step


def case_config(case: str):
    """The config of a case."""
    name, *overrides = case.split(",")
    return with_overrides(get_config(name), [f"--config.{override}" for override in overrides])


def count_flops(jaxpr, repeats: int = 1) -> int:
    """Floating-point operations of all convolutions and matrix products, with loops counted as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        params, inputs, output = equation.params, [v.aval for v in equation.invars], equation.outvars[0].aval
        if equation.primitive.name == "conv_general_dilated":
            total += repeats * 2 * output.size * int(np.prod(inputs[1].shape[:-1]))
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            total += repeats * 2 * output.size * int(np.prod([inputs[0].shape[axis] for axis in contracted]))
        inner = repeats * (params["length"] if equation.primitive.name == "scan" else 1)
        total += sum(count_flops(sub, inner) for sub in jax.extend.core.jaxprs_in_params(params))
    return total


def forward_gflop(flow) -> float:
    """GFLOP of the bound on one image's likelihood."""
    variables = jax.eval_shape(flow.init, jax.random.key(0))
    indices = jax.ShapeDtypeStruct((1,), jnp.int32)
    x = jax.ShapeDtypeStruct((1, *flow.event_shape), jnp.uint8)
    trace = jax.make_jaxpr(lambda v, i, x: pure.bits_per_dim(flow, v, jax.random.key(0), i, x, None, 1))
    return count_flops(trace(variables, indices, x).jaxpr) / 1e9


def random_like(shapes, random: np.random.Generator):
    """A tree of these shapes with small random numbers, or zeros for integers."""

    def leaf(shape):
        values = random.standard_normal(shape.shape) if jnp.issubdtype(shape.dtype, jnp.floating) else 0
        return jnp.asarray(np.broadcast_to(0.02 * values, shape.shape), shape.dtype)

    return jax.tree.map(leaf, shapes)


def prepare(case: str) -> dict:
    """The compiled training step of a case, and everything known before it runs."""
    config = case_config(case)
    flow, (optimizer, _) = create(config), make_optimizer(config)
    random = np.random.default_rng(0)
    x = jax.ShapeDtypeStruct((config.batch_size, *flow.event_shape), jnp.uint8)
    create_shapes = functools.partial(create_state, flow, optimizer=optimizer, ema_decay=config.ema_decay)
    shapes = jax.eval_shape(lambda key, x: create_shapes(key, x=x), jax.random.key(0), x)
    options = {"flow": flow, "optimizer": optimizer, "l2": config.optimizer.l2, "flip": config.dataset.flip}
    step = jax.jit(functools.partial(train_step, **options, ema_decay=config.ema_decay), donate_argnums=0)
    start = time.perf_counter()
    lowered = step.lower(shapes, {"x": x}, jax.random.key(0))
    traced = time.perf_counter()
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - traced
    sizes = [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes.params["params"])]
    print(f"compiled {case}: {traced - start:.1f} + {compile_seconds:.1f} s", flush=True)
    return {
        "case": case,
        "batch_size": config.batch_size,
        "step": compiled,
        "state": random_like(shapes, random),
        "batch": {"x": jnp.asarray(random.integers(0, 256, x.shape), jnp.uint8)},
        "trace_seconds": traced - start,
        "compile_seconds": compile_seconds,
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "parameters": sum(sizes),
        "gflop_per_image": forward_gflop(flow),
    }


def seconds_per_step(prepared: dict, steps: int) -> float:
    """Seconds of one training step, of several that follow each other without waiting for the host."""
    state, key = prepared["state"], jax.random.key(1)
    start = time.perf_counter()
    for _ in range(steps):
        state, metrics = prepared["step"](state, prepared["batch"], key)
    jax.block_until_ready((state, metrics))
    prepared["state"] = state
    return (time.perf_counter() - start) / steps


def matrix_product():
    """(run one bfloat16 product, its TFLOP)."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)

    def run(repeats: int = 10) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            latest = product(a)
        latest.block_until_ready()
        return (time.perf_counter() - start) / repeats

    run()
    return run, 2 * size**3 / 1e12


def measure(cases: list[str], jobs: int, repeats: int, steps: int) -> list[dict]:
    """One row of results for every case."""
    with ThreadPoolExecutor(jobs) as pool:
        prepared = list(pool.map(prepare, cases))
    for each in prepared:
        seconds_per_step(each, 1)
    product, product_tflop = matrix_product()
    times: dict[str, list[float]] = {each["case"]: [] for each in prepared}
    product_times = []
    for _ in range(repeats):
        for each in prepared:
            times[each["case"]].append(seconds_per_step(each, steps))
        product_times.append(product())
    peak = product_tflop / statistics.median(product_times)
    rows = []
    for each in prepared:
        taken = statistics.median(times[each["case"]])
        row = {name: value for name, value in each.items() if name not in ("step", "state", "batch")}
        row["milliseconds"] = 1e3 * taken
        row["images_per_second"] = each["batch_size"] / taken
        row["tflop_per_second"] = 3e-3 * each["gflop_per_image"] * row["images_per_second"]
        row["fraction_of_matmul"] = row["tflop_per_second"] / peak
        rows.append(row)
        print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    print(f"bfloat16 matrix product: {peak:.4g} TFLOP/s", flush=True)
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--jobs", type=int, default=1, help="programs to compile at a time")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of timing")
    parser.add_argument("--steps", type=int, default=1, help="training steps in a row that are timed together")
    parser.add_argument("--json", help="also write the rows to this file")
    options = parser.parse_args()
    device = jax.devices()[0].device_kind
    print(f"{device}, jax {jax.__version__}")
    rows = measure(options.cases, options.jobs, options.repeats, options.steps)
    statistics_of_device = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics_of_device:
        print(f"peak memory of the device: {statistics_of_device['peak_bytes_in_use'] / 2**30:.3g} GiB")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"device": device, "jax": jax.__version__, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
