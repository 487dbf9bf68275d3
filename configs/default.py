"""Every config key with its default and its meaning. An experiment's config starts from these and overrides some.

The defaults are the paper's, for its CIFAR-10 model.
"""

from ml_collections import ConfigDict

from realnvp_jax.models.create import part_keys
from realnvp_jax.training.optimizer import optimizer_keys

KEYS = {
    "seed": (0, "root of all randomness: parameters, order of the data, noise, flips, samples"),
    "num_steps": (80_000, "updates to make; may be raised or lowered when a run is resumed"),
    "batch_size": (64, "examples per update, over all devices; a multiple of the number of devices"),
    "accumulate": (
        1,
        "equal parts of each device's examples whose gradients are computed one after the other and averaged, for the "
        "activations of one part; batch statistics are then those of a part; fixed for a run",
    ),
    "learning_rate": (1e-3, "step size of the optimizer, after warm-up and before decay"),
    "init_examples": (0, "training examples that standardization and ActNorm are initialized from; 0 for one batch"),
    "ema_decay": (0.0, "decay of a moving average of parameters and statistics, which is then evaluated; 0 for none"),
    "memory": (
        "store",
        "what training keeps for the backward pass of a layer: store; remat recomputes it; invert "
        "recovers it from the output, so that memory does not grow with the number of layers",
    ),
    "dtype": ("float32", "images: dtype of the conditioners in training, float32 or bfloat16; densities are float32"),
    "steps_per_dispatch": (1, "updates that the device makes in one call from the host"),
    "on_nonfinite": (
        "stop",
        "what to do about a loss, gradient or update that is not finite: stop; skip that update; or rewind to the "
        "newest checkpoint, and go on there with the batches after the one at fault",
    ),
    "patience": (
        0,
        "evaluations in a row without a better validation result after which training ends; 0 for no such end",
    ),
    "max_hours": (0.0, "hours after which the run saves and stops, to be resumed by the same command; 0 for no limit"),
    "tracker": (
        "",
        "where metrics, pictures and the result are sent besides the workdir: wandb, mlflow, or a tracker that you "
        "registered; empty for nowhere",
    ),
    "profile": (0, "updates to trace, shortly after the start, into the workdir's profile/; 0 for none"),
    "unroll": (False, "images: write out layers and blocks instead of looping over them; compiling takes far longer"),
    "dataset.name": (
        "cifar10",
        "digits, shapes, folder, npz, tfds, a data set of TFDS, toy data or a table (see docs/data.md)",
    ),
    "dataset.path": (
        "",
        "the folder of pictures, the .npz or .npy file of images, the directory that TFDS has prepared; "
        "or, for dataset.name=table, the .csv, .tsv, .txt, .parquet or .npz file",
    ),
    "dataset.data_dir": (
        "",
        "directory of TFDS (empty: TFDS_DATA_DIR or ~/tensorflow_datasets) or of the UCI tables",
    ),
    "dataset.manual_dir": ("", "directory of original files of a TFDS data set that were downloaded by hand"),
    "dataset.cache_dir": ("", "directory of the cache of decoded images; empty for the user's cache directory"),
    "dataset.crop": (
        "none",
        "images: none (they have the model's size), centre, random, or rows and columns as in 40:188,15:163; "
        "what is cut out is resized to the model's size",
    ),
    "dataset.resize": (0, "crop=random: height that the centred part is resized to; every step draws crops from it"),
    "dataset.resample": ("antialias", "antialias (bicubic), or interpolate (bilinear between four pixels)"),
    "dataset.num_bits": (0, "images: keep this many of the 8 bits, which sets model.levels; 0 keeps all"),
    "dataset.strict": (False, "whether an unusable picture is an error; otherwise it is reported and left out"),
    "dataset.allow_changed": (
        False,
        "continue although the data have changed since the run was started; the differences are printed",
    ),
    "dataset.num_train": (100_000, "toy data and shapes: training examples to generate"),
    "dataset.seed": (
        0,
        "seed of toy data and shapes, and of the order of a table's rows or of a folder's or array's images",
    ),
    "dataset.context": (
        "",
        "what the density is conditioned on: for images, label or nothing; for a table, names of columns, separated by "
        "commas",
    ),
    "dataset.classes": (
        (),
        "images with context=label: names of the classes, in the order of the one-hot labels; () takes those of the "
        "data when the run starts",
    ),
    "dataset.columns": ("", "tables: columns to read besides those of the context, separated by commas; empty for all"),
    "dataset.drop": ("", "tables: names of the columns to leave out, separated by commas"),
    "dataset.categories": (
        (),
        "tables: one-hot columns, such as 'city=Bern', of the columns of the context that are text, categories or "
        "booleans; () takes those of the data when the run starts",
    ),
    "dataset.missing": ("refuse", "tables: rows with missing values: refuse them, or drop (and count) them"),
    "dataset.discrete": (
        "refuse",
        "vectors: what to do about columns that repeat values or number the rows: refuse, dequantize (add uniform "
        "noise as wide as their spacing, drawn once), drop, or continuous (fit them as they are)",
    ),
    "dataset.train": ("train[:45000]", "split to train on: a name, or a part of one as in train[:90%]"),
    "dataset.validation": ("train[45000:]", "split that chooses the best step"),
    "dataset.test": ("test", "split for the final result; it does not influence training"),
    "dataset.flip": (True, "mirror training images left to right with probability 1/2"),
    "dataset.shift": (
        0,
        "images: pixels by which training images are moved at random, at most, in both directions; edge pixels are "
        "repeated",
    ),
    "dataset.noise": (0.0, "vectors: Gaussian noise on training rows, in standard deviations of each column"),
    "model.name": (
        "image_flow",
        "image_flow, glow_flow, pixelcnn_flow, vector_flow, autoregressive_flow or masked_autoregressive_flow",
    ),
    "model.event_shape": (
        (32, 32, 3),
        "shape of one example: (height, width, channels) or (columns,); () takes that of the table",
    ),
    "model.transform": (
        "affine",
        "transform of a coupling or of a MAF map: affine, additive (NICE), spline or mixture_affine",
    ),
    "model.normalization": ("", "batch_norm, act_norm or none; empty for the model's own"),
    "model.conditioner": (
        "",
        "network of the coupling layers: resnet, gained_resnet, gated_dense, three_convolutions, vit, mlp; "
        "autoregressive_flow: made, or separate for one network per element; empty for the model's own",
    ),
    "model.masks": (
        "",
        "image_flow: checkerboard, halves, random; glow_flow: channels, checkerboard, both (in turn, for an even "
        "num_steps); vector_flow: halves, alternating, random, learned; empty for the first",
    ),
    "model.mixing": (
        "",
        "map before every coupling layer: conv1x1, conv1x1_plain (without a factorization), lu, permutation (random, "
        "not trained), reversal (glow_flow); empty for the model's own",
    ),
    "model.base": ("", "distribution of the latents: normal, uniform, logistic; empty for the model's own"),
    "model.dequantizer": ("uniform", "images: how discrete pixels are made continuous: uniform or variational"),
    "model.mask_seed": (0, "vectors: seed of random masks and orders"),
    "model.num_layers": (8, "vectors: number of couplings or of MAF maps"),
    "model.num_components": (12, "autoregressive_flow, pixelcnn_flow: components of every mixture"),
    "model.mixture": ("gaussian", "autoregressive_flow, pixelcnn_flow: kind of the components, gaussian or logistic"),
    "model.order": (
        "",
        "order of the elements. autoregressive_flow: natural, reversed, random; MAF: reversed (in every second map), "
        "random; empty for the model's own",
    ),
    "model.residual": (False, "autoregressive_flow, MAF: residual connections around the hidden layers"),
    "model.inverse": (False, "MAF: invert the maps, which makes it an IAF"),
    "model.kernel_size": (5, "pixelcnn_flow: width of the blocks' convolutions"),
    "model.num_scales": (2, "image_flow, glow_flow: scales of the multi-scale architecture"),
    "model.num_steps": (8, "glow_flow: steps of each scale"),
    "model.alpha": (0.05, "image_flow, glow_flow: squash before the logit: p = alpha + (1 - 2 alpha) x / levels"),
    **part_keys(),
    "model.levels": (256, "images: number of values that a pixel can take"),
    "optimizer.name": ("adam", "adam, adamax, adamw, muon, schedule_free, sgd, or an optimizer that you registered"),
    **optimizer_keys(),
    "optimizer.clip_norm": (100.0, "bound on the global norm of the gradients of nats per image; 0 for none"),
    "optimizer.l2": (5e-5, "weight of the squares of weight-norm gains and checkerboard scales, on nats per image"),
    "schedule.name": (
        "constant",
        "learning rate after warm-up: constant, or cosine to zero; or one_cycle, up from a 25th and down to almost 0",
    ),
    "schedule.warmup_steps": (0, "updates of linear warm-up from zero; one_cycle: those of its rise, 0 for 30% of all"),
    "schedule.decay_steps": (0, "update at which a cosine reaches zero, or one_cycle ends; 0 for num_steps"),
    "checkpoint.every": (1000, "updates between checkpoints; a better validation result is always saved as well"),
    "checkpoint.keep": (2, "number of newest checkpoints to keep, besides the best one"),
    "evaluate.every": (
        1000,
        "updates between evaluations on the validation split; flows of vectors have one before the first update, too",
    ),
    "evaluate.num_examples": (0, "examples of the validation and test splits to evaluate; 0 for all"),
    "evaluate.batch_size": (200, "examples per evaluation step; rounded up to a multiple of the number of devices"),
    "evaluate.num_importance_samples": (
        1,
        "images: dequantizations of each test image; above 1, the test result is the importance-weighted bound",
    ),
    "evaluate.num_samples": (
        64,
        "samples in a picture: images in a grid (at least this many if each row is a class), or points",
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
