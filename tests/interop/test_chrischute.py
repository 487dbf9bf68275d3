"""Number by number against a PyTorch port of RealNVP (tests/golden/README.md), and states that are not of it."""

import sys
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import realnvp_jax
from realnvp_jax.interop import from_chrischute
from realnvp_jax.models.declared import penalized
from tests.helpers import refusal

DATA = np.load(Path(__file__).parents[1] / "golden" / "chrischute_8x8x3_2scales.npz")
STATE = safetensors.numpy.load(DATA["safetensors"].tobytes())
X = (DATA["x_uint8"] + DATA["u"]).astype(np.float32)
FIRST = "flows.in_couplings.0.st_net"


def assert_close(ours, theirs):
    """To 1e-5 of the largest value."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


@pytest.fixture(scope="module")
def imported():
    return from_chrischute(STATE, (8, 8))


def flatten(tree) -> dict:
    return flax.traverse_util.flatten_dict(tree, sep="/")


def without(*names: str) -> dict[str, np.ndarray]:
    return {name: value for name, value in STATE.items() if not name.startswith(names)}


def test_the_sizes_follow_from_the_state(imported):
    flow, params = imported
    assert flow.event_shape == (8, 8, 3)
    assert (flow.levels, flow.preprocessing.alpha) == (256, 0.05)
    assert (flow.bijection.num_scales, flow.bijection.conditioner.base_features) == (2, 2)
    assert flow.bijection.conditioner.num_blocks == 2
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, jax.eval_shape(flow.init, jax.random.key(0)))


def test_log_likelihoods_and_latents(imported):
    flow, params = imported
    assert_close(flow.forward(params, X)[0], DATA["z"])
    assert_close(flow.log_prob(params, X), DATA["log_likelihood"])


def test_samples(imported):
    flow, params = imported
    x, _ = flow.inverse(params, DATA["sample/z"])
    assert_close(0.05 + 0.9 * x / 256, DATA["sample/sigmoid_x"])
    assert_close(flow.inverse(params, DATA["z"])[0], X)


def test_a_training_pass(imported):
    flow, params = imported
    log_prob, updated = flow.log_prob_train(params, X)
    assert_close(log_prob, DATA["train/log_likelihood"])
    after = {name.removeprefix("train/"): DATA[name] for name in DATA.files if name.endswith("running_mean")}
    _, theirs = from_chrischute({**STATE, **after}, (8, 8))
    for scale, group in (("scales_0", "layers_0/"), ("scales_1", "")):
        means = [
            {
                path: leaf[0]
                for path, leaf in flat.items()
                if path.endswith("statistics/mean") and path.startswith(group)
            }
            for flat in (flatten(tree["batch_stats"][scale]["before"]) for tree in (updated, theirs))
        ]
        assert len(means[0]) == 4
        jax.tree.map(assert_close, *means)


def test_what_the_port_decays_is_penalized(imported):
    names = {"/".join(path.split("/")[-2:]) for path in penalized(imported[0])}
    convolutions = {f"{name}/gain" for name in ("conv_in", "conv_out", "skip", "skip_out")}
    assert names == {*convolutions, "transform/scale"}


def test_other_forms_of_the_same_state(imported, tmp_path):
    flow, params = imported
    (tmp_path / "net.safetensors").write_bytes(DATA["safetensors"].tobytes())
    parallel = {f"module.{name}": value for name, value in STATE.items()}
    counted = {name for name in STATE if name.endswith("num_batches_tracked")}
    assert counted
    for state in (
        str(tmp_path / "net.safetensors"),
        tmp_path / "net.safetensors",
        parallel,
        {"net": parallel, "test_loss": 3.5, "epoch": 1},
        without(*counted),
        {name: jnp.asarray(value) for name, value in STATE.items()},
    ):
        same_flow, same = from_chrischute(state, (8, 8))
        assert same_flow == flow
        assert_equal(same, params)


def test_an_imported_flow_is_saved_and_loaded(imported, tmp_path):
    flow, params = imported
    realnvp_jax.save(tmp_path / "flow", flow, params)
    loaded, same = realnvp_jax.load(tmp_path / "flow")
    assert loaded == flow
    assert_equal(same, params)


def test_another_data_constraint():
    flow, _ = from_chrischute({**STATE, "data_constraint": np.array([0.95], np.float32)}, (8, 8))
    assert flow.preprocessing.alpha == 0.025


@pytest.mark.parametrize(
    ("state", "size", "message"),
    [
        ({}, (8, 8), "with a tensor 'flows.in_couplings.0.st_net.in_norm.weight'; got no tensors"),
        ({"conv1.weight": np.zeros(3)}, (8, 8), "got 1 tensors, the first 'conv1.weight'"),
        ([1], (8, 8), "expected the state_dict of a chrischute/real-nvp model, arrays by name; got 'list'"),
        (
            without(f"{FIRST}.skips.1.conv.bias"),
            (8, 8),
            f"got none called '{FIRST}.skips.1.conv.bias'",
        ),
        (without("flows.next_block.in_couplings.3"), (8, 8), "got none called 'flows.next_block.in_couplings.3."),
        (without("data_constraint"), (8, 8), "num_blocks=2); got none called 'data_constraint'"),
        ({**STATE, "flows.extra": np.zeros(3)}, (8, 8), "num_blocks=2); got 'flows.extra'"),
        (
            {**STATE, f"{FIRST}.out_conv.conv.weight_g": np.zeros(6, np.float32)},
            (8, 8),
            "of shape (6, 1, 1, 1), as in RealNVP(num_scales=2, in_channels=3, mid_channels=2, num_blocks=2); got (6,)",
        ),
        ({**STATE, "data_constraint": np.array([1.5], np.float32)}, (8, 8), "data_constraint in (0, 1]; got 1.5"),
        (STATE, (7, 8), "expected height and width divisible by 2 for num_scales=2; got 7x8"),
        (STATE, (8, 8, 3), "expected the size (height, width) of the images; got (8, 8, 3)"),
        ("nowhere.safetensors", (8, 8), "got none at 'nowhere.safetensors'"),
    ],
)
def test_what_is_not_such_a_state_is_refused(state, size, message):
    assert message in refusal(from_chrischute, state, size)


@pytest.mark.parametrize(
    ("value", "message"), [(np.zeros(3, int), "floating-point numbers; got int64"), (np.array("a"), "got <U1")]
)
def test_values_that_are_no_numbers_are_refused(value, message):
    with pytest.raises(TypeError, match=message):
        from_chrischute({**STATE, f"{FIRST}.in_norm.bias": value}, (8, 8))


@pytest.mark.parametrize("name", ["net.safetensors", "net.npz"])
def test_files_of_another_kind_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x08" * 100)
    assert "expected a" in refusal(from_chrischute, tmp_path / name)


def test_pickles_take_pytorch(tmp_path, monkeypatch):
    (tmp_path / "best.pth.tar").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "expected PyTorch, to read" in refusal(from_chrischute, tmp_path / "best.pth.tar")


def test_checkpoints_of_pytorch(imported, tmp_path):
    torch = pytest.importorskip("torch")
    state = {f"module.{name}": torch.tensor(value) for name, value in STATE.items()}
    torch.save({"net": state, "test_loss": 3.5, "epoch": 4}, tmp_path / "best.pth.tar")
    flow, params = from_chrischute(tmp_path / "best.pth.tar", (8, 8))
    assert flow == imported[0]
    assert_equal(params, imported[1])
    assert_equal(from_chrischute(state, (8, 8))[1], params)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert "weights_only=True, which executes no code" in refusal(from_chrischute, tmp_path / "module.pt")
    (tmp_path / "damaged.pt").write_bytes((tmp_path / "best.pth.tar").read_bytes()[:5000])
    assert "expected a file that torch.load reads" in refusal(from_chrischute, tmp_path / "damaged.pt")
