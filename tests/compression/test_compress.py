"""Files: what they give back, what they cost, and what is refused."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import realnvp_jax
from realnvp_jax.compression import compress as compressing
from realnvp_jax.compression import file
from realnvp_jax.compression.compress import compress_named
from realnvp_jax.compression.summary import summary
from realnvp_jax.mode import EVALUATE
from tests.helpers import perturb, refusal

SHAPE, LEVELS = (4, 4, 1), 16


def make(kind: str, levels: int = LEVELS) -> realnvp_jax.Flow:
    small = {"base_features": 2, "num_blocks": 1, "levels": levels}
    match kind:
        case "affine":
            return realnvp_jax.image_flow(SHAPE, 1, **small)
        case "two scales":
            return realnvp_jax.image_flow(SHAPE, 2, **small)
        case "additive, no normalization":
            return realnvp_jax.image_flow(SHAPE, 1, **small, transform="additive", normalization="none", alpha=0.0)
        case "splines, act norm, logistic base":
            choices = {"transform": "spline", "normalization": "act_norm", "base": "logistic", "num_bins": 4}
            return realnvp_jax.image_flow(SHAPE, 1, **small, **choices)
        case "labels":
            return realnvp_jax.image_flow(SHAPE, 1, **small, context=3)
        case "Glow of mixtures, variational":
            learned = {"dequantizer": "variational", "noise_features": 2, "noise_blocks": 1, "noise_couplings": 2}
            choices = {"transform": "mixture_affine", "num_logistics": 2, "conditioner": "gated_dense"}
            return realnvp_jax.glow_flow(SHAPE, 1, 2, **small, **choices, **learned)
        case "Glow, plain convolution, labels":
            return realnvp_jax.glow_flow(SHAPE, 2, 2, **small, mixing="conv1x1_plain", context=3)
        case "Glow, permutation, checkerboard":
            return realnvp_jax.glow_flow(SHAPE, 1, 2, **small, mixing="permutation", masks="both")
        case "PixelCNN":
            return realnvp_jax.pixelcnn_flow(SHAPE, levels, 2, 4, 1)
        case "PixelCNN, labels, normal base":
            return realnvp_jax.pixelcnn_flow(SHAPE, levels, 2, 4, 1, context=3, base="normal")
    raise AssertionError(kind)


QUICK = ("two scales", "Glow of mixtures, variational", "PixelCNN, labels, normal base")
KINDS = (
    *QUICK,
    "additive, no normalization",
    "splines, act norm, logistic base",
    "labels",
    "Glow, plain convolution, labels",
    "Glow, permutation, checkerboard",
    "PixelCNN",
)


def images(num: int, seed: int = 0, levels: int = LEVELS) -> np.ndarray:
    """Smooth images with a little noise."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(num, 2, 1, 1, 1))
    rows, columns = np.arange(4).reshape(4, 1, 1), np.arange(4).reshape(1, 4, 1)
    x = levels / 2 + levels / 12 * (slopes[:, 0] * (rows - 1.5) + slopes[:, 1] * (columns - 1.5))
    return np.clip(np.round(x + rng.normal(size=x.shape)), 0, levels - 1).astype(np.uint8)


def some_context(flow, num: int) -> np.ndarray | None:
    return np.eye(3, dtype=np.float32)[np.arange(num) % 3] if flow.context_size else None


def parameters(flow, seed: int = 0, size: float = 0.1):
    x = images(64).astype(np.float32) + 0.5
    return perturb(flow.init(jax.random.key(seed), x, some_context(flow, 64)), jax.random.key(seed + 1), size)


@pytest.fixture(scope="module")
def affine():
    """(flow, parameters of a short training)."""
    flow = make("affine")
    params = flow.init(jax.random.key(0))
    return flow, realnvp_jax.fit(flow, params, images(512, 1), jax.random.key(1), num_steps=60, progress=False)


@pytest.fixture(scope="module")
def compressed(affine):
    x = images(40)
    return x, realnvp_jax.compress(*affine, x)


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_any_images_and_any_parameters_come_back(kind):
    flow = make(kind)

    @given(st.integers(0, 9), st.sampled_from(["smooth", "noise", "blank", "white"]), st.integers(0, 10))
    @settings(max_examples=6, deadline=None, derandomize=True)
    def check(num, which, seed):
        rng = np.random.default_rng(seed)
        x = {
            "smooth": images(num, seed),
            "noise": rng.integers(0, LEVELS, (num, *SHAPE)).astype(np.uint8),
            "blank": np.zeros((num, *SHAPE), np.uint8),
            "white": np.full((num, *SHAPE), LEVELS - 1, np.uint8),
        }[which]
        params = parameters(flow, seed)
        data = realnvp_jax.compress(flow, params, x, some_context(flow, num), batch_size=4)
        found = realnvp_jax.decompress(flow, params, data)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, x)

    check()


@pytest.mark.parametrize("kind", ["affine", "Glow of mixtures, variational", "PixelCNN"])
def test_the_size_is_that_of_the_flows_own_bits_per_dim(kind):
    flow = make(kind, 256)
    x = images(384, levels=256)
    params = flow.init(jax.random.key(0), x.astype(np.float32) + 0.5)
    params = realnvp_jax.fit(flow, params, x, jax.random.key(1), num_steps=100, progress=False)
    data = realnvp_jax.compress(flow, params, x)
    result = summary(data, 256)
    own = np.mean([np.mean(flow.bits_per_dim(params, jax.random.key(seed), x)) for seed in range(4)])
    assert result.own == pytest.approx(own, abs=0.05)
    assert own < 7.9
    spent = result.bits_per_dim - result.start_up - result.framing - own
    assert -0.2 < spent < 0.05, "PixelCNN alone may be below, since it needs no dequantization"
    assert kind == "PixelCNN" or spent > -0.05
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, params, data), x)


def test_noise_and_single_images_are_stored_as_they_are(affine):
    x = np.random.default_rng(0).integers(0, LEVELS, (50, *SHAPE)).astype(np.uint8)
    for some in (x, x[:1]):
        data = realnvp_jax.compress(*affine, some)
        header, words = file.unpack(data)
        assert header.first == tuple(range(len(some)))
        assert 32 * len(words) / some.size == pytest.approx(np.log2(LEVELS), abs=64 / some.size)


def test_leading_dimensions_dtype_and_context_come_back():
    flow = make("labels")
    params = parameters(flow)
    x = images(6).astype(np.int32).reshape(2, 3, *SHAPE)
    context = np.eye(3)[np.arange(3)]
    data = realnvp_jax.compress(flow, params, x, context)
    found = realnvp_jax.decompress(flow, params, data)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, x)


def test_any_batch_size_and_any_array_of_integers(affine, monkeypatch):
    monkeypatch.setattr(file, "LARGEST_BATCH", 4)
    x = images(6)
    for some, dtype in ((x, np.uint8), (x.astype(object), np.int64), (x.tolist(), np.int64)):
        data = realnvp_jax.compress(*affine, some, batch_size=9)
        assert file.unpack(data)[0].batch_size == 4
        found = realnvp_jax.decompress(*affine, data)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, x)


def test_names_that_decompress_would_refuse_are_refused_first(affine):
    message = refusal(compress_named, *affine, images(1), None, ["a:b.png"])
    assert message == "expected names of pictures inside of a folder, on every system; got 'a:b.png': rename it"


def test_progress_counts_every_image(affine, compressed):
    x, data = compressed
    counts = []
    realnvp_jax.compress(*affine, x, progress=counts.append)
    assert sum(counts) == len(x)
    counts.clear()
    realnvp_jax.decompress(*affine, data, progress=counts.append)
    assert sum(counts) == len(x)


def test_flipped_bytes_are_detected(affine, compressed):
    _, data = compressed
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 200):
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        refusal(realnvp_jax.decompress, *affine, bytes(changed))


def test_other_bytes_are_refused(affine, compressed):
    _, data = compressed
    assert "damaged or truncated" in refusal(realnvp_jax.decompress, *affine, data[:-1])
    assert "damaged or truncated" in refusal(realnvp_jax.decompress, *affine, data[: len(data) // 2])
    assert "no bytes" in refusal(realnvp_jax.decompress, *affine, b"")
    assert "at its beginning" in refusal(realnvp_jax.decompress, *affine, b"PK" + data)
    later = data[:5] + b"\x02" + data[6:]
    assert "expected format 1 of a compressed file; got 2" in refusal(realnvp_jax.decompress, *affine, later)


def test_another_flow_and_other_parameters_are_refused(affine, compressed):
    flow, params = affine
    _, data = compressed
    other = make("splines, act norm, logistic base")
    message = refusal(realnvp_jax.decompress, other, parameters(other), data)
    assert message.startswith("expected the flow that compressed the file")
    message = refusal(realnvp_jax.decompress, flow, perturb(params, jax.random.key(3), 1e-3), data)
    assert message.startswith("expected the parameters that compressed the file")


def test_the_hash_of_a_flow_does_not_depend_on_equal_flows_before_it(without_type_checks):
    whole, real = (realnvp_jax.image_flow(SHAPE, 1, base_features=2, num_blocks=1, alpha=a) for a in (0, 0.0))
    assert whole == real
    hashes = compressing._hash_of_flow(whole), compressing._hash_of_flow(real)
    compressing._hash_of_description.cache_clear()
    assert compressing._hash_of_flow(real) == hashes[1]


def test_a_flow_that_differs_in_training_only_is_the_same(affine, compressed):
    x, data = compressed
    small = {"base_features": 2, "num_blocks": 1, "levels": LEVELS}
    flow = realnvp_jax.image_flow(SHAPE, 1, **small, memory="remat", dtype="bfloat16")
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, affine[1], data), x)


def disturb(monkeypatch, size: float) -> None:
    """From now on, another processor computes."""
    call = compressing.BitsBack.__init__

    def changed(self, flow, variables, batch_size):
        call(self, flow, jax.tree.map(lambda leaf: leaf * (1 + size), variables), batch_size)

    monkeypatch.setattr(compressing.BitsBack, "__init__", changed)


@pytest.mark.parametrize("size", [1e-2, 1e-4])
def test_a_machine_that_computes_otherwise_is_refused(affine, compressed, monkeypatch, size):
    disturb(monkeypatch, size)
    message = refusal(realnvp_jax.decompress, *affine, compressed[1])
    assert message.startswith("expected a machine that computes this flow as the one that compressed the file did")


def test_rounding_errors_of_another_processor_rarely_matter(affine, compressed, monkeypatch):
    disturb(monkeypatch, 1e-15)
    np.testing.assert_array_equal(realnvp_jax.decompress(*affine, compressed[1]), compressed[0])


def test_a_probe_that_differs_is_refused_at_once(affine, compressed, monkeypatch):
    coder = compressing._coder
    monkeypatch.setattr(compressing, "_coder", lambda *arguments: (coder(*arguments)[0], 1.0))
    assert "for the probe image" in refusal(realnvp_jax.decompress, *affine, compressed[1])


class Mine(realnvp_jax.Bijection):
    """A bijection without a rule."""

    def forward(self, x, context=None, mode=EVALUATE):
        return x, x[:, 0, 0, 0] * 0

    def inverse(self, z, context=None):
        return self.forward(z)


def test_what_cannot_be_compressed_is_refused(affine):
    realnvp_jax.register("mixing", "mine", Mine)
    flow = realnvp_jax.glow_flow(SHAPE, 1, 1, base_features=2, num_blocks=1, mixing=Mine(), levels=LEVELS)
    message = refusal(realnvp_jax.compress, flow, flow.init(jax.random.key(0)), images(3))
    assert message.startswith("expected bijections that compression knows: couplings,")
    assert message.endswith("got Mine")
    points = realnvp_jax.vector_flow(2)
    with pytest.raises(ValueError, match="no levels"):
        realnvp_jax.compress(points, {}, np.zeros((1, 2)))
    with pytest.raises(TypeError, match="expected integer pixels"):
        realnvp_jax.compress(*affine, images(2).astype(np.float32))
    refusal(realnvp_jax.compress, *affine, images(2) + np.uint8(LEVELS))
    refusal(realnvp_jax.compress, *affine, images(2), batch_size=0)


def test_vectors_of_integers(optimized):
    bijection = realnvp_jax.VectorRealNVP(3, 3)
    flow = realnvp_jax.Flow((3,), bijection, preprocessing=realnvp_jax.Logit(8, 0.05), levels=8)
    x = np.random.default_rng(0).binomial(7, 0.5, (300, 3))
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.05)
    data = realnvp_jax.compress(flow, params, x)
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, params, data), x)


def test_an_image_that_the_flow_cannot_code_is_stored_without_it(affine, monkeypatch):
    flow, params = affine
    x = images(20)
    stored = file.unpack(realnvp_jax.compress(flow, params, x, batch_size=4))[0].first
    place = max(set(range(20)) - set(stored))
    encode, hard = compressing.BitsBack.encode, x[place]

    def refusing(self, bits, some, context):
        rows = np.flatnonzero([np.array_equal(image, hard) for image in some])
        bits.push(np.arange(5), 7)  # the stack has changed
        if len(rows):
            raise compressing.ImpossibleError(rows)
        bits.pop(np.full(5, 7))
        encode(self, bits, some, context)

    monkeypatch.setattr(compressing.BitsBack, "encode", refusing)
    data = realnvp_jax.compress(flow, params, x, batch_size=4)
    header, _ = file.unpack(data)
    assert header.last == (place,)
    monkeypatch.undo()
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, params, data), x)


def test_without_constriction_one_sentence_says_what_to_install(affine, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "constriction", None)
    assert "pip install 'realnvp-jax[compress]'" in refusal(realnvp_jax.compress, *affine, images(2))


def test_float64_parameters_and_jax_arrays(affine):
    flow, params = affine
    x = jnp.asarray(images(12))
    data = realnvp_jax.compress(flow, params, x, batch_size=np.int64(8))
    double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, double, data), np.asarray(x))


@pytest.mark.parametrize("levels", [2, 4096, 65536])
def test_other_numbers_of_levels(levels):
    flow = make("affine", levels)
    x = np.random.default_rng(0).binomial(levels - 1, 0.5, (24, *SHAPE))
    params = flow.init(jax.random.key(0))
    data = realnvp_jax.compress(flow, params, x)
    header, _ = file.unpack(data)
    assert not header.last
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, params, data), x)


def test_a_flow_whose_density_of_the_probe_is_0():
    flow = realnvp_jax.image_flow(SHAPE, 1, base_features=2, num_blocks=1, levels=LEVELS, base="uniform")
    params, x = flow.init(jax.random.key(0)), images(12)
    data = realnvp_jax.compress(flow, params, x)
    np.testing.assert_array_equal(realnvp_jax.decompress(flow, params, data), x)
    assert summary(data, LEVELS).own <= np.log2(LEVELS) + 0.01


def repacked(data: bytes, **changes) -> bytes:
    header, words = file.unpack(data)
    return file.pack(dataclasses.replace(header, **changes), words)


def test_a_wrong_value_in_a_group_is_never_returned(affine, compressed, monkeypatch):
    _, data = compressed
    for place in range(0, 16, 5):
        decode = compressing.BitsBack.decode

        def wrong(self, bits, num, context, place=place, decode=decode):
            found = decode(self, bits, num, context).copy()
            if num == file.unpack(data)[0].group_sizes()[0]:
                found.reshape(num, -1)[0, place] ^= 1
            return found

        with monkeypatch.context() as patch:
            patch.setattr(compressing.BitsBack, "decode", wrong)
            refusal(realnvp_jax.decompress, *affine, data)


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": (1, 10**12)},
        {"groups": (-1, -1)},
        {"groups": (3,)},
        {"batch": (10**6,)},
        {"batch_size": 2**40},
        {"first": (0, 0)},
        {"last": (10**6,)},
        {"dtype": "U1000000"},
    ],
)
def test_a_header_that_contradicts_itself_is_refused(affine, compressed, changes):
    message = refusal(realnvp_jax.decompress, *affine, repacked(compressed[1], **changes))
    assert message.endswith("got one whose header contradicts itself: do not trust it")


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "C:a.png", "x\\..\\a.png", "\\a.png"])
def test_a_picture_outside_of_the_folder_is_refused(compressed, name):
    names = "\0".join([name, *(f"{i}.png" for i in range(39))])
    header, _ = file.unpack(repacked(compressed[1], names=zlib.compress(names.encode())))
    assert "names of pictures inside of a folder" in refusal(header.picture_names)


def test_names_of_another_number_and_names_without_end_are_refused(compressed):
    def named(names: bytes):
        return file.unpack(repacked(compressed[1], names=zlib.compress(names)))[0]

    assert "got 2" in refusal(named(b"a.png\0b.png").picture_names)
    assert "far more text" in refusal(named(b"a" * 10**6).picture_names)
    names = [b"a\nb.png", b"\xff.png", *(b"%d.png" % i for i in range(38))]
    assert named(b"\0".join(names)).picture_names()[0] == "a\nb.png"


def test_the_number_of_images_until_the_start_up_is_small(compressed):
    found = summary(compressed[1], LEVELS)
    num = found.images_for(0.01)
    once = (found.start_up + found.framing) * found.num_images
    assert once / num <= 0.01 * found.own < once / (num - 1)


def test_small_integers_of_jax_come_back(affine):
    x = jnp.asarray(images(12)).astype(jnp.uint4)
    found = realnvp_jax.decompress(*affine, realnvp_jax.compress(*affine, x))
    assert found.dtype == jnp.uint4
    np.testing.assert_array_equal(found.astype(np.uint8), images(12))


def test_too_many_levels_are_refused():
    flow = realnvp_jax.image_flow(SHAPE, 1, base_features=2, num_blocks=1, levels=2**25)
    assert "expected at most" in refusal(realnvp_jax.compress, flow, flow.init(jax.random.key(0)), images(2))
