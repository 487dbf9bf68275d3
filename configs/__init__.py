"""Configs of experiments. In the package they are `realnvp_jax.configs`, a link to this folder."""
