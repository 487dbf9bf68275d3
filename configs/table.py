"""Your own table: realnvp train table --config.dataset.path=FILE, a .csv, .tsv, .txt, .parquet or .npz file.

docs/tables.md shows what to do about text, dates, categories, counts and missing values. The rows are shuffled by
dataset.seed, then split 80 / 10 / 10. What to expect depends on the table: tests/benchmarks/gaussians.py fits a
Gaussian for comparison.
"""

from realnvp_jax.configs import default


def get_config():
    """A model for a few hundred to a few hundred thousand rows; validation chooses the best step."""
    config = default.get_config()
    config.num_steps = 10_000
    config.patience = 20
    config.batch_size = 256
    config.learning_rate = 1e-3
    config.ema_decay = 0.998
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 200
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 10.0
    config.init_examples = 100_000
    config.dataset.name = "table"
    config.dataset.train = "all[:80%]"
    config.dataset.validation = "all[80%:90%]"
    config.dataset.test = "all[90%:]"
    config.dataset.flip = False
    config.model.name = "vector_flow"
    config.model.event_shape = ()
    config.model.masks = "learned"
    config.model.transform = "spline"
    config.model.normalization = "none"
    config.model.num_layers = 8
    config.model.hidden = (128, 128)
    config.checkpoint.every = 1000
    config.evaluate.every = 100
    config.evaluate.batch_size = 5000
    config.evaluate.num_samples = 5000
    return config
