"""Speed and memory of the images' way from the cache to the devices.

    python -m tests.benchmarks.images --data_dir DIR

prints how fast a warm cache opens, how many CIFAR-10 images a second come in batches of 256 (as uint8, mirrored at
random, and dequantized as well), and how much anonymous memory 1.28 million 64x64 images take that lie in a memory map
of 15.7 GB (a sparse file in the temporary directory). TFDS's CIFAR-10 is looked for in DIR; the first run decodes it.
"""

import argparse
import functools
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.images.framed import FramedImages, load_images
from realnvp_jax.data.images.tfds import Tfds
from realnvp_jax.data.prefetch import prefetch
from realnvp_jax.training.augmentation import augment, mirror
from realnvp_jax.training.parallel import training_batch

BATCH = 256


def anonymous_memory() -> float:
    """RssAnon of this process in GiB: pages that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


def images_per_second(examples: Examples, work, steps: int) -> float:
    """Batches made ahead, each given to `work` on the device."""
    make = functools.partial(training_batch, examples, 0, BATCH)
    jax.block_until_ready(work(make(0)["x"], 0))
    start = time.perf_counter()
    with prefetch(make, range(1, steps + 1)) as batches:
        for step, batch in enumerate(batches):
            done = work(batch["x"], step)
    jax.block_until_ready(done)
    return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--cache_dir", default="")
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    data = FramedImages(Tfds("cifar10", data_dir=arguments.data_dir), cache_dir=arguments.cache_dir)
    flow = realnvp_jax.image_flow((32, 32, 3))
    names = {"train": "train", "validation": "test", "test": "test"}
    load_images(data, names, flow)
    start = time.perf_counter()
    train = load_images(data, names, flow).train
    print(f"a warm cache opens in {time.perf_counter() - start:.3f} s")

    key, numbers = jax.random.key(0), jnp.arange(BATCH)

    @jax.pmap
    def mirrored(x, key):
        return mirror(key, numbers, x)

    @jax.pmap
    def dequantized(x, key):
        return augment(key, numbers, x, flip=True, shape=(32, 32, 3))

    def keyed(function):
        return lambda x, step: function(x, jax.random.fold_in(key, step)[None])

    for what, work in (
        ("as uint8, on the device", lambda x, step: x),
        ("and mirrored at random", keyed(mirrored)),
        ("and dequantized", keyed(dequantized)),
    ):
        print(
            f"CIFAR-10 in batches of {BATCH}, {what}: {images_per_second(train, work, arguments.steps):,.0f} images/s"
        )

    before = anonymous_memory()
    with tempfile.NamedTemporaryFile() as file:
        shape = (1_280_000, 64, 64, 3)
        file.truncate(int(np.prod(shape)))
        many = Examples(np.asarray(np.memmap(file.name, np.uint8, "r", shape=shape)))
        speed = images_per_second(many, lambda x, step: x, arguments.steps)
        print(
            f"{shape[0]:,} images of 64x64 in batches of {BATCH}: {speed:,.0f} images/s; anonymous memory "
            f"{anonymous_memory():.2f} GiB, {before:.2f} GiB before"
        )


if __name__ == "__main__":
    main()
