"""Every config key with its default and its meaning. An experiment's config starts from here and overrides.

The defaults are the paper's, for its CIFAR-10 model.
"""

from ml_collections import ConfigDict

from realnvp_jax.models.create import part_keys
from realnvp_jax.training.optimizer import optimizer_keys

KEYS = {
    "seed": (0, "root of all randomness: parameters, order of the data, noise, flips, samples"),
    "num_steps": (80_000, "updates to make; may be raised or lowered when a run is resumed"),
    "batch_size": (64, "examples per update, over all devices; a multiple of the number of devices"),
    "learning_rate": (1e-3, "step size of the optimizer, after warm-up and before decay"),
    "init_examples": (0, "training examples that standardization and ActNorm are initialized from; 0 for one batch"),
    "ema_decay": (0.0, "decay of a moving average of parameters and statistics, which is then evaluated; 0 for none"),
    "memory": (
        "store",
        "what training keeps for the backward pass of a layer: store; remat computes it again; invert "
        "finds it from the output, so that memory does not grow with the number of layers",
    ),
    "dtype": ("float32", "images: of the conditioners in training, float32 or bfloat16; densities are float32"),
    "steps_per_dispatch": (1, "updates that the device makes without the host in between"),
    "tracker": (
        "",
        "where metrics, pictures and the result go besides the workdir: wandb, mlflow, or a registered tracker of "
        "your own; empty for nowhere",
    ),
    "profile": (0, "updates to trace, shortly after the start, into the workdir's profile/; 0 for none"),
    "unroll": (False, "images: layers and blocks one after the other instead of in loops; compiles far longer"),
    "dataset.name": (
        "cifar10",
        "digits, shapes, folder, npz, tfds, a data set of TFDS, toy data or a table (see docs/data.md)",
    ),
    "dataset.path": (
        "",
        "the folder of pictures, the .npz or .npy file of images, the directory that TFDS has prepared; "
        "or the .csv, .parquet or .npz file of a table that has no name",
    ),
    "dataset.data_dir": (
        "",
        "where TFDS (empty: TFDS_DATA_DIR or ~/tensorflow_datasets) or the UCI tables are",
    ),
    "dataset.manual_dir": ("", "where original files of a TFDS data set are that were downloaded by hand"),
    "dataset.cache_dir": ("", "of decoded images; empty for the user's cache directory"),
    "dataset.crop": (
        "none",
        "images: none (they have the model's size), centre, random, or rows and columns as in 40:188,15:163; "
        "what is cut out is resized to the model's size",
    ),
    "dataset.resize": (0, "crop=random: the centred part is resized to this height, and every step draws its crops"),
    "dataset.resample": ("antialias", "antialias (bicubic), or interpolate (bilinear between four pixels)"),
    "dataset.num_bits": (0, "images: keep so many of 8 bits, which sets model.levels; 0 leaves them as they are"),
    "dataset.strict": (False, "a picture that cannot be used is an error; otherwise it is named and left out"),
    "dataset.allow_changed": (
        False,
        "go on with data that are not those that the run was started with; what differs is printed",
    ),
    "dataset.num_train": (100_000, "toy data and shapes: training examples to generate"),
    "dataset.seed": (
        0,
        "of toy data and shapes, and of the order of a table's rows or of a folder's or array's images",
    ),
    "dataset.context": (
        "",
        "what the density is conditioned on: of images, label or nothing; of a table, names of columns, separated by "
        "commas",
    ),
    "dataset.classes": (
        (),
        "images with context=label: names of the classes, in the order of the one-hot labels; () takes those of the "
        "data when the run starts",
    ),
    "dataset.columns": ("", "tables: names of the columns to read besides those of the context; empty for all"),
    "dataset.drop": ("", "tables: names of the columns to leave out, separated by commas"),
    "dataset.categories": (
        (),
        "tables: one-hot columns, such as 'city=Bern', of the columns of the context that are text, categories or "
        "booleans; () takes those of the data when the run starts",
    ),
    "dataset.missing": ("refuse", "table: rows with missing values: refuse, or drop (and count) them"),
    "dataset.discrete": (
        "refuse",
        "vectors: columns with repeated values, or that number the rows: refuse, dequantize (add uniform noise of the "
        "width of their spacing, drawn once), drop, or continuous (fit them as they are)",
    ),
    "dataset.train": ("train[:45000]", "split to train on: a name, or a part of one as in train[:90%]"),
    "dataset.validation": ("train[45000:]", "split that chooses the step"),
    "dataset.test": ("test", "split of the final result; it chooses nothing"),
    "dataset.flip": (True, "mirror training images left to right with probability 1/2"),
    "dataset.noise": (0.0, "vectors: Gaussian noise on training rows, in deviations of the columns; regularizes"),
    "model.name": (
        "image_flow",
        "image_flow, glow_flow, pixelcnn_flow, vector_flow, autoregressive_flow or masked_autoregressive_flow",
    ),
    "model.event_shape": (
        (32, 32, 3),
        "of one example: (height, width, channels), or (columns,), or () for that of a table",
    ),
    "model.transform": ("affine", "what a coupling, or a map of MAF, does: affine, additive (NICE) or spline"),
    "model.normalization": ("", "batch_norm, act_norm or none; empty for the model's own"),
    "model.conditioner": (
        "",
        "network of the coupling layers: resnet, mlp; autoregressive_flow: made, or separate for one network an "
        "element; empty for the model's own",
    ),
    "model.masks": (
        "",
        "image_flow: checkerboard, halves; vector_flow: halves, alternating, random, learned; empty for the first",
    ),
    "model.mixing": ("", "map in front of every coupling layer: conv1x1, lu; empty for the model's own"),
    "model.base": ("", "distribution of the latents: normal, uniform, logistic; empty for the model's own"),
    "model.dequantizer": ("uniform", "images: from discrete to continuous pixels"),
    "model.mask_seed": (0, "vectors: seed of random masks and orders"),
    "model.num_layers": (8, "vectors: number of couplings, or of maps of MAF"),
    "model.num_components": (12, "autoregressive_flow, pixelcnn_flow: components of every mixture"),
    "model.mixture": ("gaussian", "autoregressive_flow, pixelcnn_flow: components that are gaussian or logistic"),
    "model.order": (
        "",
        "of the elements. autoregressive_flow: natural, reversed, random; MAF: reversed (in every second map), random; "
        "empty for the model's own",
    ),
    "model.residual": (False, "autoregressive_flow, MAF: hidden layers add their input"),
    "model.inverse": (False, "MAF: invert the maps, which makes an IAF"),
    "model.kernel_size": (5, "pixelcnn_flow: width of the blocks' convolutions"),
    "model.levels": (256, "images: number of values that a pixel can take"),
    "model.num_scales": (2, "image_flow, glow_flow: scales of the multi-scale architecture"),
    "model.num_steps": (8, "glow_flow: steps of each scale"),
    "model.alpha": (0.05, "image_flow, glow_flow: squash before the logit: p = alpha + (1 - 2 alpha) x / levels"),
    **part_keys(),
    "optimizer.name": ("adam", "adam, sgd, or one of your own"),
    **optimizer_keys(),
    "optimizer.clip_norm": (100.0, "bound on the global norm of the gradients of nats per image; 0 for none"),
    "optimizer.l2": (5e-5, "weight of the squares of weight-norm gains and checkerboard scales, on nats per image"),
    "schedule.name": ("constant", "learning rate after warm-up: constant, or cosine to zero"),
    "schedule.warmup_steps": (0, "updates of linear warm-up from zero"),
    "schedule.decay_steps": (0, "update at which a cosine reaches zero; 0 for num_steps"),
    "checkpoint.every": (1000, "updates between checkpoints; a better validation result is always saved as well"),
    "checkpoint.keep": (2, "how many of the newest checkpoints to keep, besides the best"),
    "evaluate.every": (1000, "updates between evaluations on the validation split"),
    "evaluate.num_examples": (0, "examples of the validation and test splits to evaluate; 0 for all"),
    "evaluate.batch_size": (200, "examples per evaluation step; rounded up to a multiple of the number of devices"),
    "evaluate.num_samples": (
        64,
        "samples in a picture: images of a grid (at least so many where each row is a class), or points",
    ),
    "evaluate.log_every": (100, "updates between rows of metrics.csv"),
}


def get_config() -> ConfigDict:
    """All keys with their defaults, as a ConfigDict that refuses new keys."""
    config = ConfigDict()
    for key, (value, _) in KEYS.items():
        *groups, leaf = key.split(".")
        here = config
        for group in groups:
            if group not in here:
                here[group] = ConfigDict()
            here = here[group]
        here[leaf] = value
    return config.lock()
