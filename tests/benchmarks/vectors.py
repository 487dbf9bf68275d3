"""Speed of two-dimensional RealNVP against other libraries of normalizing flows, on the CPU, and time to compile.

    pip install -e '.[bench]'                       # the other libraries; one that is absent is skipped
    python tests/benchmarks/vectors.py              # all cores
    python tests/benchmarks/vectors.py --cores 1    # the whole process on one core
    python tests/benchmarks/vectors.py --compile    # ours alone: time to compile 8 and 64 couplings

All libraries have the same model in float32: a standard normal, and eight affine couplings of alternating parity whose
conditioners are MLPs with two hidden layers of 128 and relu, without normalisation layers. JAX libraries are called in
functions under `jax.jit`, without donation; torch ones eagerly, without gradients except in training. The tasks are

    log_prob         densities of a batch
    sample           as many draws
    training step    value and gradient of the mean negative log-density, and an update by Adam

Everything is measured in one process, interleaved: a repeat goes round all libraries in random order, and a visit makes
one call that is not timed (thread pools of JAX and of torch fall asleep late, and would disturb each other) and then
timed ones, each from the call to the finished result. A ratio is the other library's median over ours: above 1 ours is
faster. The nats are the first loss and that of the 20th step, to show that every library does train. Other processes
slow torch down the most, on several cores: compare only where the load average is about the number of cores, or less.
"""

import argparse
import functools
import importlib
import importlib.metadata
import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import make_moons

import realnvp_jax
from realnvp_jax.training.optimizer import create_optimizer
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step

NUM_LAYERS = 8
HIDDEN = (128, 128)
LEARNING_RATE = 1e-3
WARM_STEPS = 20  # training steps before anything is timed
VISIT_SECONDS, MOST_CALLS = 0.03, 20  # a visit makes timed calls until it has used up either
OURS = "realnvp_jax"


class Tasks(NamedTuple):
    """What is timed; each function returns when its result is there."""

    num_params: int
    log_prob: Callable
    sample: Callable
    train: Callable


def jax_tasks(params, log_prob: Callable, sample: Callable, state, step: Callable, x: np.ndarray) -> Tasks:
    """The tasks of a JAX library, from pure functions; step(state, x) is (state, loss)."""
    density, draw, step = jax.jit(log_prob), jax.jit(sample, static_argnums=2), jax.jit(step)
    x, key = jnp.asarray(x), jax.random.key(1)

    def train():
        nonlocal state
        state, loss = step(state, x)
        return loss.block_until_ready()

    return Tasks(
        sum(leaf.size for leaf in jax.tree.leaves(params)),
        lambda: density(params, x).block_until_ready(),
        lambda: draw(params, key, len(x)).block_until_ready(),
        train,
    )


def jax_peer(params, log_prob: Callable, sample: Callable, x: np.ndarray) -> Tasks:
    """`jax_tasks` with the training step that a user would write."""
    optimizer = optax.adam(LEARNING_RATE)

    def step(state, x):
        params, opt_state = state
        loss, gradients = jax.value_and_grad(lambda params: -log_prob(params, x).mean())(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    return jax_tasks(params, log_prob, sample, (params, optimizer.init(params)), step, x)


def torch_peer(module, log_prob: Callable, sample: Callable, x: np.ndarray) -> Tasks:
    """The tasks of a torch library, from a module and functions that call it."""
    import torch

    x, optimizer = torch.from_numpy(x), torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)

    def train():
        optimizer.zero_grad()
        loss = -log_prob(x).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    density, draw = torch.no_grad()(log_prob), torch.no_grad()(sample)
    num_params = sum(parameter.numel() for parameter in module.parameters())
    return Tasks(num_params, lambda: density(x), lambda: draw(len(x)), train)


def our_training(num_layers: int):
    """(flow, state before the first step, step), with Adam alone: the others do not clip either."""
    flow = realnvp_jax.vector_flow(2, num_layers=num_layers, hidden=HIDDEN)
    optimizer = create_optimizer(LEARNING_RATE, clip_norm=0.0)
    state = jax.jit(create_state, static_argnums=(0, 2))(flow, jax.random.key(0), optimizer)

    def step(state, x):
        state, metrics = train_step(state, {"x": x}, jax.random.key(1), flow=flow, optimizer=optimizer)
        return state, metrics["score"]

    return flow, state, step


def our_tasks(x: np.ndarray) -> Tasks:
    flow, state, step = our_training(NUM_LAYERS)
    return jax_tasks(state.params, flow.log_prob, flow.sample, state, step, x)


def distrax_tasks(x: np.ndarray) -> Tasks:
    import distrax

    def dense(key, inputs, outputs):
        scale = 0 if outputs == 2 else np.sqrt(2 / inputs)
        return scale * jax.random.normal(key, (inputs, outputs)), jnp.zeros(outputs)

    def mlp(layers, h):
        for weight, bias in layers[:-1]:
            h = jax.nn.relu(h @ weight + bias)
        return h @ layers[-1][0] + layers[-1][1]

    def affine(outputs):
        shift, log_scale = jnp.split(outputs, 2, axis=-1)
        return distrax.ScalarAffine(shift, log_scale=jnp.tanh(log_scale))

    def flow(params):
        conditioners = [functools.partial(mlp, layers) for layers in params]
        couplings = [distrax.SplitCoupling(1, 1, c, affine, swap=k % 2 == 1) for k, c in enumerate(conditioners)]
        base = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
        return distrax.Transformed(base, distrax.Chain(couplings))

    keys = jax.random.split(jax.random.key(0), (NUM_LAYERS, len(HIDDEN) + 1))
    widths = list(itertools.pairwise([1, *HIDDEN, 2]))
    params = [[dense(key, *width) for key, width in zip(row, widths, strict=True)] for row in keys]

    def sample(params, key, n):
        return flow(params).sample(seed=key, sample_shape=(n,))

    return jax_peer(params, lambda params, x: flow(params).log_prob(x), sample, x)


def flowjax_tasks(x: np.ndarray) -> Tasks:
    import equinox
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow

    widths = {"nn_width": HIDDEN[0], "nn_depth": len(HIDDEN)}
    base = StandardNormal((2,))  # the couplings are affine, and in two dimensions a flip follows each
    flow = coupling_flow(jax.random.key(0), base_dist=base, flow_layers=NUM_LAYERS, **widths)
    params, static = equinox.partition(flow, equinox.is_inexact_array)

    def sample(params, key, n):
        return equinox.combine(params, static).sample(key, (n,))

    return jax_peer(params, lambda params, x: equinox.combine(params, static).log_prob(x), sample, x)


def nflows_tasks(x: np.ndarray) -> Tasks:
    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    class Conditioner(torch.nn.Sequential):
        def __init__(self, inputs, outputs):
            layers = [torch.nn.Linear(*width) for width in itertools.pairwise([inputs, *HIDDEN, outputs])]
            super().__init__(*[module for layer in layers for module in (layer, torch.nn.ReLU())][:-1])

        def forward(self, x, context=None):
            return super().forward(x)

    couplings = [AffineCouplingTransform([k % 2, 1 - k % 2], Conditioner) for k in range(NUM_LAYERS)]
    flow = Flow(CompositeTransform(couplings), StandardNormal([2]))
    return torch_peer(flow, flow.log_prob, flow.sample, x)


def normflows_tasks(x: np.ndarray) -> Tasks:
    import normflows as nf

    layers = []
    for _ in range(NUM_LAYERS):
        conditioner = nf.nets.MLP([1, *HIDDEN, 2], init_zeros=True)
        layers += [nf.flows.AffineCouplingBlock(conditioner), nf.flows.Permute(2, mode="swap")]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), layers)
    return torch_peer(flow, flow.log_prob, lambda n: flow.sample(n)[0], x)


def zuko_tasks(x: np.ndarray) -> Tasks:
    import zuko

    flow = zuko.flows.RealNVP(2, transforms=NUM_LAYERS, hidden_features=HIDDEN)
    return torch_peer(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)), x)


PEERS = {
    "distrax": distrax_tasks,
    "flowjax": flowjax_tasks,
    "nflows": nflows_tasks,
    "normflows": normflows_tasks,
    "zuko": zuko_tasks,
}


def visit(function: Callable) -> list[float]:
    """Seconds of each call, after one that is not timed."""
    function()
    times = []
    while len(times) < MOST_CALLS and sum(times) < VISIT_SECONDS:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def measure(names: list[str], batch_size: int, repeats: int) -> list[dict]:
    x = make_moons(batch_size, noise=0.1, random_state=0)[0].astype(np.float32) - np.float32([0.5, 0.25])
    tasks = {name: PEERS.get(name, our_tasks)(x) for name in names}
    rows = {}
    for name, t in tasks.items():
        losses = [float(t.train()) for _ in range(WARM_STEPS)]
        if t.log_prob().shape != (batch_size,) or t.sample().shape != (batch_size, 2):
            raise RuntimeError(f"{name}: expected one density and one point an example")
        rows[name] = {"library": name, "batch_size": batch_size, "parameters": t.num_params}
        rows[name] |= {"first_nats": losses[0], "last_nats": losses[-1]}
    functions = {(n, task): getattr(t, task) for n, t in tasks.items() for task in ("log_prob", "sample", "train")}
    times = {key: [] for key in functions}
    generator = random.Random(0)
    for _ in range(repeats):
        for key in generator.sample(list(functions), len(functions)):
            times[key] += visit(functions[key])
    for (name, task), t in times.items():
        median, ours = statistics.median(t), statistics.median(times[OURS, task])
        rows[name][task] = {"median_ms": 1e3 * median, "min_ms": 1e3 * min(t), "ratio": median / ours}
    return list(rows.values())


def print_table(rows: list[dict]) -> None:
    tasks = {"log_prob": "log_prob", "sample": "sample", "train": "training step"}
    print(f"\n{'batch size':<11}{rows[0]['batch_size']:>13,}" + "".join(f"{title:>31}" for title in tasks.values()))
    print(f"{'library':<13}{'parameters':>11}" + "      median ms    min ms  ratio" * len(tasks) + "         nats")
    for row in rows:
        cells = "".join("{median_ms:>15.3f}{min_ms:>10.3f}{ratio:>7.2f}".format(**row[task]) for task in tasks)
        nats = f"{row['first_nats']:>7.2f}{row['last_nats']:>6.2f}"
        print(f"{row['library']:<13}{row['parameters']:>11,}{cells}{nats}")
    print(f"ours: training step / log_prob = {rows[0]['train']['median_ms'] / rows[0]['log_prob']['median_ms']:.2f}")


def compile_seconds(num_layers: int) -> dict[str, float]:
    """Seconds to trace and compile new functions, with nothing cached."""
    flow, state, step = our_training(num_layers)
    functions = {
        "training step": (lambda state, x: step(state, x), state),
        "log_prob": (lambda params, x: flow.log_prob(params, x), state.params),
    }
    seconds = {}
    for name, (function, argument) in functions.items():
        jax.clear_caches()
        start = time.perf_counter()
        jax.jit(function).lower(argument, jnp.zeros((512, 2))).compile()
        seconds[name] = time.perf_counter() - start
    return seconds


def measure_compilation() -> list[dict]:
    jax.config.update("jax_enable_compilation_cache", False)
    compile_seconds(2)  # the first compilation of a process also imports
    runs = [{num_layers: compile_seconds(num_layers) for num_layers in (8, 64)} for _ in range(3)]
    rows = []
    for task in ("training step", "log_prob"):
        few, many = (statistics.median(run[num_layers][task] for run in runs) for num_layers in (8, 64))
        rows.append({"task": task, "seconds_8": few, "seconds_64": many, "ratio": many / few})
        print(f"compile {task}: {few:.2f} s for 8 couplings, {many:.2f} s for 64, ratio {many / few:.2f} (at most 1.5)")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[512, 8192])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--cores", type=int, help="how many cores to run on; default: all")
    parser.add_argument("--libraries", nargs="*", choices=PEERS, default=list(PEERS), help="to compare with")
    parser.add_argument("--compile", action="store_true", help="time our compilation instead")
    parser.add_argument("--json", help="also write the rows to this file")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    os.sched_setaffinity(0, cores)  # the thread pools, made later, have one thread for each
    os.environ.update(OMP_NUM_THREADS=str(len(cores)), MKL_NUM_THREADS=str(len(cores)))  # torch's
    jax.config.update("jax_platforms", "cpu")
    rows, names = [], [OURS]
    for name in [] if options.compile else options.libraries:
        try:
            importlib.import_module(name)
            names.append(name)
        except ImportError as error:
            print(f"{name} skipped: {error}")
    packages = ["jax", *names, *(["torch"] if {"nflows", "normflows", "zuko"} & set(names) else [])]
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(f"{len(cores)} of {os.cpu_count()} cores; " + ", ".join(f"{name} {v}" for name, v in versions.items()))
    if options.compile:
        rows = measure_compilation()
    else:
        for batch_size in options.batch_sizes:
            rows += (table := measure(names, batch_size, options.repeats))
            print_table(table)
    print(f"load average of the last minute: {os.getloadavg()[0]:.1f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cores": len(cores), "versions": versions, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
