"""Train a flow: python train.py --config=configs/digits.py --workdir=runs/digits (--help lists everything)."""

from realnvp_jax.cli.train import main

if __name__ == "__main__":
    main(prog_name="python train.py")
