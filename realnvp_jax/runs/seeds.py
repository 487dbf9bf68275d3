"""Train one config with several seeds, one run after the other, and summarize the results."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realnvp_jax.models.create import Config
from realnvp_jax.processes import everywhere, on_main, silent_unless_main
from realnvp_jax.runs.config_checks import check_config
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.saved_config import config_path
from realnvp_jax.runs.start import train
from realnvp_jax.text import shorten


def train_seeds(
    config: Config, workdir: str | Path, seeds: Sequence[int], command: str | None = None
) -> dict[str, Any]:
    """Train with each seed in `workdir/seed_N`, and write `workdir/seeds.json`.

    Finished runs are not repeated and unfinished ones are resumed, so the same call continues after an interruption.

    Args:
      config: a complete config; its `seed` is replaced.
      workdir: the directory of the runs.
      seeds: the seeds, all different.
      command: what the user typed.

    Returns:
      The contents of seeds.json: mean of the test results over the seeds, their standard deviation (n - 1), the
      standard error of the mean, and each seed's own result.

    Raises:
      ValueError: there are no seeds, or one is given twice; otherwise as in `train`.
    """
    workdir = Path(workdir).expanduser()
    configs = everywhere(lambda: _config_of_each(config, workdir, seeds))
    with silent_unless_main():
        return _train_each(configs, workdir, command)


def _config_of_each(config: Config, workdir: Path, seeds: Sequence[int]) -> list[Config]:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"expected different seeds, such as 0,1,2; got {','.join(map(str, seeds)) or 'none'}")
    configs = []
    for seed in seeds:
        own: Config = config.copy_and_resolve_references()
        own.seed = seed
        check_config(own)
        configs.append(own)
    if config_path(workdir).is_file():
        raise ValueError(
            f"expected a workdir for several seeds, one directory for each; got {shorten(workdir, 140)}, which holds "
            "a single run: use another --workdir"
        )
    return configs


def _train_each(configs: Sequence[Config], workdir: Path, command: str | None) -> dict[str, Any]:
    results = []
    for own in configs:
        print(f"seed {own.seed}")
        results.append(train(own, workdir / f"seed_{own.seed}", command=command))
    means = [result["mean"] for result in results]
    deviation = statistics.stdev(means) if len(means) > 1 else None
    summary = {
        "mean": statistics.fmean(means),
        "standard_deviation": deviation,
        "standard_error": None if deviation is None else deviation / math.sqrt(len(means)),
        "unit": results[0]["unit"],
        "seeds": [own.seed for own in configs],
        "results": means,
    }
    on_main(lambda: write_json(workdir / "seeds.json", summary))
    spread = "" if deviation is None else f", standard deviation over seeds {deviation:.3f}"
    print(f"test over {len(configs)} seeds: mean {summary['mean']:.3f}{spread} {summary['unit']}")
    return summary
