"""Speed of two-dimensional RealNVP against other libraries of normalizing flows, on the CPU, and time to compile.

    pip install -e '.[bench]'                       # the other libraries; one that is absent is skipped
    python tests/benchmarks/vectors.py              # all cores
    python tests/benchmarks/vectors.py --cores 1    # the whole process on one core
    python tests/benchmarks/vectors.py --compile    # ours alone: time to compile 8 and 64 couplings

All libraries have the same model in float32: a standard normal, and eight affine couplings of alternating parity whose
conditioners are MLPs with two hidden layers of 128 and relu, without normalization layers. Tasks are densities of a
batch, as many samples, and a training step: value and gradient of the mean negative log-density and an update by Adam.
JAX libraries are called under `jax.jit`, without donation; torch ones eagerly, with gradients in training only.

Everything is measured in one process, interleaved: a repeat goes round all tasks and libraries in random order, and a
visit makes one call that is not timed (thread pools of JAX and of torch fall asleep late, and would disturb each other)
and then timed ones, each from the call to the finished result. A ratio is the other library's median over ours: above 1
ours is faster. The nats are the first loss and the 20th, to show that every library does train. Other processes slow
torch down the most, on several cores: compare only where the load average is no more than the number of cores.
"""

import argparse
import collections
import functools
import itertools
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import make_moons

import realnvp_jax
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step

NUM_LAYERS = 8
HIDDEN = (128, 128)
LEARNING_RATE = 1e-3
TASKS = ("log_prob", "sample", "train")
VISIT_SECONDS, MOST_CALLS = 0.03, 20  # a visit makes timed calls until it has used up either


def jax_tasks(params, log_prob: Callable, sample: Callable, state, step: Callable, x: np.ndarray) -> dict:
    """Functions that do the tasks and return when the result is there; step(state, x) is (state, loss)."""
    density, draw, step = jax.jit(log_prob), jax.jit(sample, static_argnums=2), jax.jit(step)
    x, key = jnp.asarray(x), jax.random.key(1)

    def train():
        nonlocal state
        state, loss = step(state, x)
        return loss.block_until_ready()

    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "log_prob": lambda: density(params, x).block_until_ready(),
        "sample": lambda: draw(params, key, len(x)).block_until_ready(),
        "train": train,
    }


def jax_peer(params, create: Callable, sample: Callable, x: np.ndarray) -> dict:
    """The tasks of create(params), a distribution, and sample(distribution, key, n); the training step is a user's."""
    optimizer = optax.adam(LEARNING_RATE)

    def log_prob(params, x):
        return create(params).log_prob(x)

    def step(state, x):
        params, opt_state = state
        loss, gradients = jax.value_and_grad(lambda params: -log_prob(params, x).mean())(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    state = params, optimizer.init(params)
    return jax_tasks(params, log_prob, lambda params, key, n: sample(create(params), key, n), state, step, x)


def torch_peer(module, log_prob: Callable, sample: Callable, x: np.ndarray) -> dict:
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
    return {"parameters": num_params, "log_prob": lambda: density(x), "sample": lambda: draw(len(x)), "train": train}


def our_training(num_layers: int):
    """(flow, state before the first step, step), with Adam alone: the others do not clip either."""
    flow = realnvp_jax.vector_flow(2, num_layers=num_layers, hidden=HIDDEN)
    optimizer = clipped(Adam(), LEARNING_RATE, 0.0)
    state = jax.jit(create_state, static_argnums=(0, 2))(flow, jax.random.key(0), optimizer)

    def step(state, x):
        state, metrics = train_step(state, {"x": x}, jax.random.key(1), flow=flow, optimizer=optimizer)
        return state, -metrics["score"]

    return flow, state, step


def distrax_tasks(x: np.ndarray) -> dict:
    import distrax

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

    def dense(key, inputs, outputs):
        scale = 0 if outputs == 2 else np.sqrt(2 / inputs)
        return scale * jax.random.normal(key, (inputs, outputs)), jnp.zeros(outputs)

    widths = list(itertools.pairwise([1, *HIDDEN, 2]))
    keys = jax.random.split(jax.random.key(0), (NUM_LAYERS, len(widths)))
    params = [[dense(key, *width) for key, width in zip(row, widths, strict=True)] for row in keys]
    return jax_peer(params, flow, lambda flow, key, n: flow.sample(seed=key, sample_shape=(n,)), x)


def flowjax_tasks(x: np.ndarray) -> dict:
    import equinox
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow

    sizes = {"flow_layers": NUM_LAYERS, "nn_width": HIDDEN[0], "nn_depth": len(HIDDEN)}
    flow = coupling_flow(jax.random.key(0), base_dist=StandardNormal((2,)), **sizes)  # affine; it flips the two halves
    params, static = equinox.partition(flow, equinox.is_inexact_array)
    return jax_peer(params, functools.partial(equinox.combine, static), lambda flow, key, n: flow.sample(key, (n,)), x)


def nflows_tasks(x: np.ndarray) -> dict:
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    class Conditioner(MLP):
        def __init__(self, inputs, outputs):
            super().__init__([inputs], [outputs], HIDDEN)

        def forward(self, x, context):
            return super().forward(x)

    couplings = [AffineCouplingTransform([k % 2, 1 - k % 2], Conditioner) for k in range(NUM_LAYERS)]
    flow = Flow(CompositeTransform(couplings), StandardNormal([2]))
    return torch_peer(flow, flow.log_prob, flow.sample, x)


def normflows_tasks(x: np.ndarray) -> dict:
    import normflows as nf

    conditioners = [nf.nets.MLP([1, *HIDDEN, 2], init_zeros=True) for _ in range(NUM_LAYERS)]
    layers = [f for c in conditioners for f in (nf.flows.AffineCouplingBlock(c), nf.flows.Permute(2, mode="swap"))]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), layers)
    return torch_peer(flow, flow.log_prob, lambda n: flow.sample(n)[0], x)


def zuko_tasks(x: np.ndarray) -> dict:
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


def measure(peers: list[str], batch_size: int, repeats: int) -> list[dict]:
    x = make_moons(batch_size, noise=0.1, random_state=0)[0].astype(np.float32) - np.float32([0.5, 0.25])
    flow, state, step = our_training(NUM_LAYERS)
    tasks = {"realnvp_jax": jax_tasks(state.params, flow.log_prob, flow.sample, state, step, x)}
    tasks |= {name: PEERS[name](x) for name in peers}
    rows = {}
    for name, t in tasks.items():
        assert t["log_prob"]().shape == (batch_size,), name
        assert t["sample"]().shape == (batch_size, 2), name
        nats = [float(t["train"]()) for _ in range(20)]
        rows[name] = {"library": name, "batch_size": batch_size, "parameters": t["parameters"], "nats": nats[::19]}
    functions = {(n, task): t[task] for n, t in tasks.items() for task in TASKS}
    times = {key: [] for key in functions}
    generator = random.Random(0)
    for _ in range(repeats):
        for key in generator.sample(list(functions), len(functions)):
            times[key] += visit(functions[key])
    for (name, task), t in times.items():
        median, ours = statistics.median(t), statistics.median(times["realnvp_jax", task])
        rows[name][task] = {"median_ms": 1e3 * median, "min_ms": 1e3 * min(t), "ratio": median / ours}
    return list(rows.values())


def print_table(rows: list[dict]) -> None:
    print(f"\n{'batch size':<11}{rows[0]['batch_size']:>13,}{'log_prob':>32}{'sample':>32}{'training step':>32}")
    print(f"{'library':<13}{'parameters':>11}" + "      median ms    min ms  ratio" * 3 + "         nats")
    for row in rows:
        cells = "".join("{median_ms:>15.3f}{min_ms:>10.3f}{ratio:>7.2f}".format(**row[task]) for task in TASKS)
        print(f"{row['library']:<13}{row['parameters']:>11,}{cells}{row['nats'][0]:>7.2f}{row['nats'][1]:>6.2f}")
    print(f"ours: training step / log_prob = {rows[0]['train']['median_ms'] / rows[0]['log_prob']['median_ms']:.2f}")


def measure_compilation() -> list[dict]:
    """Seconds to trace and compile new functions with nothing cached, medians of three."""
    jax.config.update("jax_enable_compilation_cache", False)
    seconds = collections.defaultdict(list)
    for _ in range(4):  # the first compilation of a process also imports, and does not count
        for num_layers in (8, 64):
            flow, state, step = our_training(num_layers)
            functions = {"training step": (step, state), "log_prob": (functools.partial(flow.log_prob), state.params)}
            for task, (function, argument) in functions.items():
                jax.clear_caches()
                start = time.perf_counter()
                jax.jit(function).lower(argument, jnp.zeros((512, 2))).compile()
                seconds[task, num_layers].append(time.perf_counter() - start)
    rows = []
    for task in functions:
        few, many = (statistics.median(seconds[task, num_layers][1:]) for num_layers in (8, 64))
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
    peers = []
    for name in [] if options.compile else options.libraries:
        try:
            import_module(name)
            peers.append(name)
        except ImportError as error:
            print(f"{name} skipped: {error}")
    versions = {n: metadata.version(n) for n in ["realnvp_jax", "jax", *peers, *sys.modules.keys() & {"torch"}]}
    print(f"{len(cores)} of {os.cpu_count()} cores; " + ", ".join(f"{name} {v}" for name, v in versions.items()))
    rows = measure_compilation() if options.compile else []
    for batch_size in [] if options.compile else options.batch_sizes:
        rows += (table := measure(peers, batch_size, options.repeats))
        print_table(table)
    print(f"load average of the last minute: {os.getloadavg()[0]:.1f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cores": len(cores), "versions": versions, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
