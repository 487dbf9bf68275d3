"""Train a flow: python train.py --config=configs/digits.py --workdir=runs/digits (--help lists everything)."""

from realnvp_jax.runs.signals import StopRequest

if __name__ == "__main__":
    with StopRequest(exits=True):  # before the imports, which take a while
        from realnvp_jax.cli.train import main

        main(prog_name="python train.py")
