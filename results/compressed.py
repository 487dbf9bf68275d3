"""Compress test images by the flows in results/ and in the package, and write what it gave to results/compression/.

    python results/compressed.py TFDS_DIRECTORY

The directory holds MNIST and CIFAR-10 as TensorFlow Datasets prepares them. The columns for JPEG XL need
`pip install pillow-jxl-plugin`. `python results/collect.py` then writes the tables.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import realnvp_jax
from realnvp_jax.compression.bits import BitStack
from realnvp_jax.compression.summary import summary
from realnvp_jax.data.images.baselines import file_bits
from realnvp_jax.runs.setup import load_data
from tests.benchmarks.compression import jpeg_xl_bits

HERE = Path(__file__).parent
NUM = 1000


def test_images(name: str, directory: str) -> np.ndarray:
    """The first images of the test set."""
    import tensorflow_datasets as tfds

    source = tfds.data_source(name, data_dir=directory, split="test")
    return np.stack([source[i]["image"] for i in range(NUM)])


def measure(name: str, flow, params, x: np.ndarray) -> None:
    """Compress, decompress, compare with other codes, and write a file."""
    data = realnvp_jax.compress(flow, params, x)
    found = summary(data, flow.levels)
    result = {
        "num_images": len(x),
        "is_exact": bool(np.array_equal(realnvp_jax.decompress(flow, params, data), x)),
        "bytes": found.num_bytes,
        "bits_per_dim": found.bits_per_dim,
        "own": found.own,
        "start_up": found.start_up,
        "framing": found.framing,
        "coding": found.coding_overhead,
        "stored": found.stored,
        "images_for_3_percent": found.images_for(0.03),
        "images_for_1_percent": found.images_for(0.01),
    }
    if flow.levels == 256:
        result["other"] = {
            "PNG": file_bits(x, "PNG").mean(),
            "WebP": file_bits(x, "WebP").mean(),
            "JPEG XL": jpeg_xl_bits(x).mean(),
        }
    (HERE / "compression" / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(name, result, flush=True)


def draw_stack(flow, params, x: np.ndarray) -> None:
    """The size of the stack of bits while a few images are compressed one after the other."""
    sizes: list[float] = []
    trial: list[BitStack] = []  # the first stack, on which compress measures how many bits an image takes
    originals = {name: getattr(BitStack, name) for name in ("push", "pop", "push_symbols")}

    def recorded(method):
        def wrapped(self, *arguments):
            value = method(self, *arguments)
            trial[:] = trial or [self]
            if self is not trial[0]:
                sizes.append(self.size / flow.num_dims)
            return value

        return wrapped

    for name, method in originals.items():
        setattr(BitStack, name, recorded(method))
    realnvp_jax.compress(flow, params, x, batch_size=1)
    for name, method in originals.items():
        setattr(BitStack, name, method)
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    axes.plot(sizes, lw=0.8)
    axes.set(
        xlabel="pushes and pops, while nine digits are compressed after five that are stored",
        ylabel="bits per dimension",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "compression" / "stack.png", dpi=110)


def main(directory: str) -> None:
    """Measure and draw."""
    flow, params = realnvp_jax.load_pretrained("digits")
    digits = load_data(realnvp_jax.get_config("digits"), flow).test.x
    draw_stack(flow, params, digits[:14])
    measure("digits", flow, params, digits)
    for name, folder in (("mnist", "mnist_glow"), ("cifar10", "cifar10_small")):
        measure(name, *realnvp_jax.load(HERE / folder / "model"), test_images(name, directory))


if __name__ == "__main__":
    main(*sys.argv[1:])
