"""Write the flows that ship with the package, `realnvp_jax.load_pretrained`, into realnvp_jax/pretrained/.

    python results/pretrained.py runs/digits   # and trains the planar ones, into runs/pretrained_NAME

The digits flow is that of a finished run of `realnvp train digits`, with its kernels rounded to bfloat16. The planar
flows are trained here: spline couplings, small enough to ship.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp

import realnvp_jax
from realnvp_jax.data.vectors.toy import TOY
from realnvp_jax.runs.pretrained import FOLDER

SHIPPED = ("digits", *sorted(set(TOY) - {"random"}))


def rounded_kernels(params: dict) -> dict:
    """Parameters whose kernels are bfloat16.

    Biases, ActNorm and invertible convolutions stay float32; rounding them costs up to 0.1 bits/dim.
    """

    def rounded(path: tuple, leaf: jax.Array) -> jax.Array:
        return leaf.astype(jnp.bfloat16) if path[-1].key.endswith(("kernel", "weights")) else leaf

    return jax.tree_util.tree_map_with_path(rounded, params)


def train_planar(name: str, workdir: Path) -> None:
    config = realnvp_jax.get_config(f"toy2d:{name}")
    config.num_steps = 5000
    config.model.transform = "spline"
    config.model.num_layers = 6
    config.model.hidden = (24, 24)
    realnvp_jax.train(config, workdir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("digits", type=Path, help="workdir of a finished run of digits")
    digits = parser.parse_args().digits
    results = {}
    for name in SHIPPED:
        workdir = digits if name == "digits" else Path("runs") / f"pretrained_{name}"
        if name != "digits" and not (workdir / "result.json").is_file():
            train_planar(name, workdir)
        flow, params = realnvp_jax.load(workdir)
        if name == "digits":
            params = {**params, "params": rounded_kernels(params["params"])}
        realnvp_jax.save(FOLDER / name, flow, params, overwrite=True)
        result = json.loads((workdir / "result.json").read_text())
        results[name] = {key: result[key] for key in ("mean", "standard_error", "unit", "num_examples")}
    (FOLDER / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
