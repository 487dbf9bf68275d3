"""AUROC of every score of `realnvp score`: test digits against other images, test moons against points off the moons.

    python train.py && python train.py --config=configs/digits_pixelcnn.py
    python train.py --config=configs/toy2d.py:moons
    python -m tests.benchmarks.anomalies runs/digits runs/digits_pixelcnn runs/toy2d_moons

Others are the test digits upside down, mirrored, blurred and blank, and uniform noise; of moons, uniform points that
are more than 0.25 away from 2,000 points of the moons. Prints a table.
"""

import sys

import numpy as np

from realnvp_jax.analysis.anomalies import aurocs, score_examples
from realnvp_jax.analysis.counter_examples import counter_images
from realnvp_jax.analysis.run import Run, open_run
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.vectors.toy import sample_toy


def other_points(num: int = 3000) -> dict[str, np.ndarray]:
    points = np.random.default_rng(0).uniform([-1.5, -1.0], [2.5, 1.5], (num, 2)).astype(np.float32)
    moons = sample_toy("moons", 2000, 123)
    distance = np.linalg.norm(points[:, None] - moons[None], axis=-1).min(axis=1)
    return {"points off the moons": points[distance > 0.25]}


def table(run: Run) -> None:
    test, training = run.split("test").first(10_000), run.split("train").first(2000)
    others = other_points() if run.flow.levels is None else counter_images(test.x, run.flow.levels)
    inside = score_examples(run, test, training)
    for name, x in others.items():
        areas = aurocs(inside, score_examples(run, Examples(x), training))
        cells = [
            f"{areas[score]:.3f}" if score in areas else ""
            for score in ("likelihood", "input complexity", "typicality")
        ]
        print(f"| {run.workdir.name} against {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    print("| | likelihood | input complexity | typicality |\n|---|---|---|---|")
    for workdir in sys.argv[1:] or ["runs/digits"]:
        table(open_run(workdir))
