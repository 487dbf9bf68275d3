"""Tables by name: realnvp train tabular:NAME.

breast_cancer, wine                        the features of scikit-learn's tables
synthetic_table, gaussian_mixture          generated (realnvp_jax.data.vectors.mixture)
power, gas, hepmass, miniboone, bsds300    those of the MAF paper; dataset.data_dir is the public archive

Expected test log-density, nats per row (a Gaussian with full covariance): breast_cancer 37.0 (30.5), wine -21.6
(-22.9), synthetic_table -10.6 (-14.6), gaussian_mixture -11.73 (-12.75; the true density -11.68). Those of the MAF
paper have not been run yet.
"""

from realnvp_jax.configs import table

_PAPERS = ("power", "gas", "hepmass", "miniboone", "bsds300")
_SMALL = ("breast_cancer", "wine")


def get_config(name: str = "synthetic_table"):
    """`table`, with a smaller model for small tables and more steps for the MAF paper's tables."""
    config = table.get_config()
    config.patience = 0
    config.schedule.warmup_steps = 0  # as in the recorded results
    config.evaluate.every = 500
    config.dataset.name = name
    if name in (*_PAPERS, "gaussian_mixture"):
        config.dataset.train = "train"
        config.dataset.validation = "validation"
        config.dataset.test = "test"
    if name in (*_PAPERS, *_SMALL):
        config.dataset.discrete = "continuous"  # values repeat, and the published results are densities
    if name in _SMALL:  # validation stops these after a few hundred steps
        config.num_steps = 1000
        config.batch_size = 64
        config.learning_rate = 5e-4
        config.ema_decay = 0.98
        config.dataset.train = "all[:60%]"
        config.dataset.validation = "all[60%:80%]"
        config.dataset.test = "all[80%:]"
        config.model.num_layers = 4
        config.evaluate.every = 20
        config.evaluate.log_every = 20
    if name == "breast_cancer":
        config.model.transform = "affine"
        config.model.activation = "tanh"
        config.model.hidden = (32,)
    if name == "wine":
        config.num_steps = 300
        config.learning_rate = 3e-4
        config.schedule.name = "constant"
        config.evaluate.every = 10
        config.dataset.noise = 0.4  # 107 rows of 13 columns; chosen on other shuffles of the rows
        config.model.num_bins = 4
        config.model.hidden = (16,)
    if name == "gaussian_mixture":
        config.num_steps = 4000  # sizes and noise chosen by validation; larger flows overfit 50,000 points
        config.batch_size = 512
        config.learning_rate = 2e-3
        config.dataset.noise = 0.05
        config.model.num_layers = 4
        config.model.num_bins = 4
        config.model.hidden = (32, 32)
        config.model.activation = "silu"
    if name in _PAPERS:
        config.num_steps = 200_000
        config.batch_size = 512
        config.model.num_layers = 10
        config.model.hidden = (256, 256)
        config.checkpoint.every = 5000
        config.evaluate.every = 5000
    return config
