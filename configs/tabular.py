"""Tables by name: --config=configs/tabular.py:NAME.

breast_cancer, wine                        scikit-learn's, their features
synthetic_table, gaussian_mixture          generated (realnvp_jax.data.mixture)
power, gas, hepmass, miniboone, bsds300    those of the MAF paper, where dataset.data_dir has the public archive
"""

from configs import table

_PAPERS = ("power", "gas", "hepmass", "miniboone", "bsds300")
_SMALL = ("breast_cancer", "wine")


def get_config(name: str = "synthetic_table"):
    """`configs/table.py`, smaller for small tables and longer for the papers' tables."""
    config = table.get_config()
    config.dataset.name = name
    if name in (*_PAPERS, "gaussian_mixture"):
        config.dataset.train = "train"
        config.dataset.validation = "validation"
        config.dataset.test = "test"
    if name in _SMALL:
        config.num_steps = 2000
        config.batch_size = 64
        config.dataset.train = "all[:60%]"
        config.dataset.validation = "all[60%:80%]"
        config.dataset.test = "all[80%:]"
        config.model.num_layers = 4
        config.model.hidden = (32,)
        config.model.num_bins = 4
        config.evaluate.every = 100
    if name in _PAPERS:
        config.num_steps = 200_000
        config.batch_size = 512
        config.model.num_layers = 10
        config.model.hidden = (256, 256)
        config.checkpoint.every = 5000
        config.evaluate.every = 5000
    return config
