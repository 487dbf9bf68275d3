"""What each ingredient of a recipe is worth: every rung of a ladder trains for the same time, with several seeds.

    python -m tests.benchmarks.ablation ingredients --seconds 900 --json FILE
    python -m tests.benchmarks.ablation optimizers --seconds 300 --rungs adam muon --processor-time

A ladder is a base config and rungs, each with overrides; those of `ingredients` add up. The time is that of training
alone, after compilation. The learning rate follows it: warm-up in the first twentieth, then, where the rung's schedule
is a cosine, to zero at the end. So every rung makes as many updates as fit. `--processor-time` counts the seconds of
the process instead of the clock's, for a machine that has other work; it needs one thread (taskset -c 0).

Every result is that of the last parameters (the moving average, if the rung has one), on the whole of both splits
unless `--examples` says otherwise. The table has the mean over the seeds and its standard error.
"""

import argparse
import dataclasses
import functools
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.bijections.squeeze import Squeeze
from realnvp_jax.data.batches import batch_indices
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.models.create import create
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.glow import Glow
from realnvp_jax.models.multiscale import Scale
from realnvp_jax.models.pure import count_parameters
from realnvp_jax.registry import parameters, part_class
from realnvp_jax.runs.config_keys import with_overrides
from realnvp_jax.runs.named_configs import get_config
from realnvp_jax.runs.setup import load_data
from realnvp_jax.training.evaluation import evaluate
from realnvp_jax.training.optimizer import check_average, clipped
from realnvp_jax.training.parallel import parallel_eval_step, replicate
from realnvp_jax.training.state import create_state, evaluation_params
from realnvp_jax.training.steps import train_step

_WARM_UP = 0.05  # share of the time

_SMALL = ("model.base_features=16", "batch_size=16", "init_examples=256")

INGREDIENTS = {
    "the paper's recipe": (*_SMALL, "model.num_blocks=2", "model.num_scales=2"),
    "Muon, cosine": (
        "optimizer.name=muon",
        "learning_rate=1e-2",
        "optimizer.clip_norm=3000.0",
        "optimizer.l2=0.0",
        "schedule.name=cosine",
    ),
    "moving average": ("ema_decay=0.99",),
    "Glow steps": ("model.name=glow_flow", "model.num_steps=4", "model.normalization=act_norm"),
    "split priors": (),
    "gated dense conditioners": ("model.conditioner=gated_dense",),
    "variational dequantization": (
        "model.dequantizer=variational",
        "model.noise_features=16",
        "model.noise_blocks=1",
    ),
    "mixtures of logistics": ("model.transform=mixture_affine", "model.num_logistics=4"),
    "attention": ("model.attention_heads=2",),
}

_GATED = tuple(override for overrides in list(INGREDIENTS.values())[:6] for override in overrides)
_CONSTANT = ("schedule.name=constant", "ema_decay=0.0")
_RATES = {
    "adam": (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2),
    "adamax": (2e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2),
    "adamw": (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2),
    "muon": (5e-3, 1e-2, 2e-2, 4e-2, 8e-2),
    "schedule_free": (2e-3, 5e-3, 1e-2, 2e-2, 4e-2),
}

OPTIMIZERS = {
    f"{name} {rate:g}": (
        *_GATED,
        f"optimizer.name={name}",
        f"learning_rate={rate}",
        *(_CONSTANT if name == "schedule_free" else ()),
    )
    for name, rates in _RATES.items()
    for rate in rates
}

LADDERS = {"ingredients": ("mnist", INGREDIENTS, True), "optimizers": ("mnist", OPTIMIZERS, False)}


def rungs_of(ladder: str, more: list[str]) -> dict[str, Any]:
    """Rung -> its whole config."""
    base, rungs, adds_up = LADDERS[ladder]
    configs, so_far = {}, ()
    for name, overrides in rungs.items():
        so_far = (*so_far, *overrides) if adds_up else overrides
        values = dict(item.split("=", 1) for item in (*so_far, *more))
        configs[name] = with_overrides(get_config(base), [f"--config.{key}={value}" for key, value in values.items()])
    return configs


def rate_at(share: float, config: Any) -> float:
    """The learning rate after a share of the time."""
    if share < _WARM_UP:
        return config.learning_rate * share / _WARM_UP
    if config.schedule.name == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + np.cos(np.pi * min(1.0, (share - _WARM_UP) / (1 - _WARM_UP))))


class GlowWithoutSplitPriors(Glow):
    """Glow whose factored-out halves are standard normal, as RealNVP's are; the top has its learned prior."""

    def _scale(self, k: int) -> Scale:
        is_last = k == self.num_scales - 1
        return super()._scale(k) if is_last else Scale(squeeze=Squeeze(), behind=self._steps(k), factors_out=True)


def flow_of(name: str, config: Any) -> Flow:
    """The flow of a rung."""
    flow = create(config)
    if name != "Glow steps":
        return flow
    fields = {field.name: getattr(flow.bijection, field.name) for field in dataclasses.fields(Glow)}
    plain = GlowWithoutSplitPriors(**{key: value for key, value in fields.items() if key not in ("parent", "name")})
    return dataclasses.replace(flow, bijection=plain)


class Rung:
    """One rung: its flow, data and compiled step, which all seeds share."""

    def __init__(self, name: str, config: Any):
        self.config, self.flow = config, flow_of(name, config)
        self.splits = load_data(config, self.flow)
        part = part_class("optimizer", config.optimizer.name)
        options = {name: config.optimizer[name] for name in parameters(part) if name in config.optimizer}
        self.optimizer = part(**options).for_flow(self.flow)
        check_average(self.optimizer, config.ema_decay, config.schedule.name)
        if config.schedule.name not in ("constant", "cosine"):
            raise ValueError(f"expected schedule.name of constant or cosine; got {config.schedule.name!r}")
        self.step = jax.jit(self._step, donate_argnums=0)

    def _transformation(self, rate: Any) -> Any:
        return clipped(self.optimizer, lambda _: rate, self.config.optimizer.clip_norm)

    def _step(self, state: Any, batch: dict[str, Any], key: jax.Array, rate: jax.Array) -> tuple[Any, Any]:
        return train_step(
            state,
            batch,
            key,
            flow=self.flow,
            optimizer=self._transformation(rate),
            l2=self.config.optimizer.l2,
            flip=self.config.dataset.flip,
            shift=self.config.dataset.shift,
            accumulate=self.config.accumulate,
            ema_decay=self.config.ema_decay,
        )

    def _batch(self, seed: int, step: int, size: int) -> dict[str, Any]:
        return self.splits.train.batch(batch_indices(seed, step, size, len(self.splits.train)))

    @functools.cached_property
    def _create(self) -> Any:
        transformation = self._transformation(jnp.zeros(()))
        return lambda key, x: create_state(self.flow, key, transformation, self.config.ema_decay, x)

    def train(self, seed: int, seconds: float, clock: Any) -> tuple[Any, int]:
        """(the state after training for that time, number of updates)."""
        config, key = self.config, jax.random.key(seed)
        size = config.batch_size
        first = self._batch(seed, 0, config.init_examples or size)["x"]
        state = self._create(key, jnp.asarray(first))
        compiled = self.step(jax.tree.map(jnp.copy, state), self._batch(seed, 0, size), key, jnp.float32(0))
        jax.block_until_ready(compiled)
        start, step, metrics = clock(), 0, None
        while (elapsed := clock() - start) < seconds:
            rate = jnp.float32(rate_at(elapsed / seconds, config))
            state, metrics = self.step(state, self._batch(seed, step, size), key, rate)
            step += 1
            if step % 8 == 0:  # the host may be a few updates ahead of a GPU, not more
                jax.block_until_ready(metrics)
        jax.block_until_ready(state)
        return state, step

    def evaluate(self, state: Any, num_examples: int) -> tuple[float, float]:
        """Mean scores on (validation, test)."""
        step, params = parallel_eval_step(self.flow), replicate(evaluation_params(state))
        results = []
        for examples in (self.splits.validation, self.splits.test):
            chosen = examples.first(num_examples or len(examples))
            results.append(float(evaluate(step, params, chosen, self.config.evaluate.batch_size).mean()))
        return results[0], results[1]


def measure(name: str, config: Any, options: argparse.Namespace, clock: Any) -> dict[str, Any]:
    """One row of the table."""
    rung = Rung(name, config)
    rows = []
    for seed in options.seeds:
        state, num_steps = rung.train(seed, options.seconds, clock)
        validation, test = rung.evaluate(state, options.examples)
        rows.append({"seed": seed, "updates": num_steps, "validation": validation, "test": test})
        print(f"{name}: {rows[-1]}", flush=True)
    return {"rung": name, "parameters": count_parameters(rung.flow), "seeds": rows}


def line(row: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    cells = [row["rung"], f"{row['parameters']:,}", f"{np.mean([seed['updates'] for seed in row['seeds']]):,.0f}"]
    for split in ("validation", "test"):
        mean, error = mean_and_standard_error(np.array([seed[split] for seed in row["seeds"]]))
        cells.append(f"{mean:.3f}" if error is None else f"{mean:.3f} +- {error:.3f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ladder", choices=LADDERS)
    parser.add_argument("--rungs", nargs="+", help="only these, by the beginning of their names")
    parser.add_argument("--seconds", type=float, default=900, help="of training, for every rung and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--examples", type=int, default=0, help="of each split to evaluate; 0 for all")
    parser.add_argument("--processor-time", action="store_true", help="count seconds of the process")
    parser.add_argument("--override", nargs="*", default=[], help="key=value for every rung, such as dataset.data_dir=")
    parser.add_argument("--json", type=Path, help="also write the rows to this file, after every rung")
    options = parser.parse_args()
    clock = time.process_time if options.processor_time else time.perf_counter
    rows = []
    for name, config in rungs_of(options.ladder, options.override).items():
        if options.rungs and not name.startswith(tuple(options.rungs)):
            continue
        rows.append(measure(name, config, options, clock))
        if options.json:
            options.json.write_text(json.dumps({"seconds": options.seconds, "rows": rows}, indent=2))
    print(f"\n{jax.devices()[0].device_kind}, {options.seconds:g} s each")
    print("| | parameters | updates | validation | test |\n|---|---|---|---|---|")
    print("\n".join(line(row) for row in rows))


if __name__ == "__main__":
    main()
