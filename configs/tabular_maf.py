"""Tables by masked autoregressive flows: realnvp train tabular_maf:NAME, as in `tabular`.

Expected test log-density, nats per row: synthetic_table -10.64, gaussian_mixture -11.73; with
--config.model.transform=spline --config.model.num_layers=5: -10.63 and -11.72.
"""

from realnvp_jax.configs import tabular


def get_config(name: str = "synthetic_table"):
    """`tabular` with affine maps and batch norm, as in the MAF paper."""
    config = tabular.get_config(name)
    config.model.name = "masked_autoregressive_flow"
    config.model.order = "reversed"
    config.model.transform = "affine"
    config.model.normalization = "batch_norm"
    config.model.num_layers = 10
    return config
