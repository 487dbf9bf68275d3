"""The console program `realnvp`: thin shells over `realnvp_jax.analysis`."""
