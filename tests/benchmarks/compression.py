"""Size and speed of compressed images, beside PNG, WebP and JPEG XL on the same images.

    python -m tests.benchmarks.compression FLOW IMAGES.npy [NUM]

FLOW is a run's workdir, a published folder, or the name of a flow that ships with the package. IMAGES.npy holds the
images, of which the first NUM are taken. JPEG XL needs `pip install pillow-jxl-plugin`. The share of the time within
the coder is that of `compression.bits`.
"""

import importlib.util
import io
import resource
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

import realnvp_jax
from realnvp_jax.compression.bits import BitStack
from realnvp_jax.compression.summary import summary
from realnvp_jax.data.images.baselines import file_bits

CODER = ("push", "pop", "push_symbols", "pop_symbols", "copy")


def timed_coder() -> list[float]:
    """Measure the time within the coder from now on; it is the sum of the list."""
    spent: list[float] = []

    def timed(method):
        def wrapped(*arguments):
            start = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                spent.append(time.perf_counter() - start)

        return wrapped

    for name in CODER:
        setattr(BitStack, name, timed(getattr(BitStack, name)))
    return spent


def jpeg_xl_bits(images: np.ndarray) -> np.ndarray:
    import pillow_jxl  # noqa: F401

    sizes = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(
            file, format="JXL", lossless=True, effort=9
        )
        sizes.append(len(file.getvalue()))
    return 8 * np.array(sizes) / np.prod(images.shape[1:])


def main(flow_name: str, path: str, num: str = "") -> None:
    is_path = Path(flow_name).exists()
    flow, params = realnvp_jax.load(flow_name) if is_path else realnvp_jax.load_pretrained(flow_name)
    x = np.load(path)[: int(num) if num else None]
    spent = timed_coder()
    times = {}
    for name in ("with compilation", "compiled"):
        spent.clear()
        start = time.perf_counter()
        data = realnvp_jax.compress(flow, params, x)
        times[name] = time.perf_counter() - start
        share = sum(spent) / times[name]
        print(
            f"compress, {name}: {len(x) / times[name]:.1f} images/s, {share:.1%} of the time in the coder", flush=True
        )
    spent.clear()
    start = time.perf_counter()
    found = realnvp_jax.decompress(flow, params, data)
    spent_decoding = time.perf_counter() - start
    share = sum(spent) / spent_decoding
    print(f"decompress: {len(x) / spent_decoding:.1f} images/s, {share:.1%} of the time in the coder")
    print(f"bit for bit: {np.array_equal(found, x)}")
    result = summary(data, flow.levels)
    print(
        f"{len(data):,} bytes: {result.bits_per_dim:.4f} bits/dim; the flow's own {result.own:.4f}, start-up "
        f"{result.start_up:.4f}, header and checksums {result.framing:.4f}, coding {result.coding_overhead:.4f}; "
        f"{result.stored} of {len(x)} images stored without the flow"
    )
    print(f"within 3% from {result.images_for(0.03)} images on, within 1% from {result.images_for(0.01)}")
    shades = x if flow.levels == 256 else (x * (255 // (flow.levels - 1))).astype(np.uint8)
    codes = {"PNG": lambda: file_bits(shades, "PNG"), "WebP": lambda: file_bits(shades, "WebP")}
    if importlib.util.find_spec("pillow_jxl"):
        codes["JPEG XL"] = lambda: jpeg_xl_bits(shades)
    for name, code in codes.items():
        print(f"{name}, a file for each image: {code().mean():.3f} bits/dim")
    print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
