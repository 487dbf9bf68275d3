"""Configs of experiments. The package contains them as `realnvp_jax.configs`, a link to this folder."""
