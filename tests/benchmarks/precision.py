"""What bfloat16 conditioners cost: a small model of digits, 500 steps, the same seeds in both precisions.

    python -m tests.benchmarks.precision --seeds 5

Evaluation is in float32 either way. Printed are the test results of every seed, and the mean difference with its
standard error over seeds.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import realnvp_jax
from configs import digits


def result(dtype: str, seed: int, num_steps: int, workdir: Path) -> float:
    config = digits.get_config()
    config.update(dtype=dtype, seed=seed, num_steps=num_steps, learning_rate=2e-3, ema_decay=0.99)
    config.model.base_features = 8
    config.checkpoint.every = config.evaluate.every = num_steps
    return realnvp_jax.train(config, workdir)["mean"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    differences = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            pair = [result(dtype, seed, options.steps, Path(folder) / dtype) for dtype in ("float32", "bfloat16")]
        differences.append(pair[1] - pair[0])
        print(f"seed {seed}: float32 {pair[0]:.4f}, bfloat16 {pair[1]:.4f} bits/dim", flush=True)
    error = np.std(differences, ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else float("nan")
    print(f"bfloat16 - float32: {np.mean(differences):+.4f} +- {error:.4f} bits/dim ({len(differences)} seeds)")


if __name__ == "__main__":
    main()
