"""Train a flow: python train.py --config=configs/digits.py --workdir=runs/digits (--help lists everything)."""

from pathlib import Path

from configs import default
from realnvp_jax.runs import program

if __name__ == "__main__":
    program.main(default_config=Path(__file__).parent / "configs" / "digits.py", keys=default.KEYS)
