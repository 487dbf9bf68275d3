"""Muon: kernels of hidden layers, and all other parameters."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import realnvp_jax
from configs import toy2d
from realnvp_jax.models.declared import hidden_kernels
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.training.muon import for_kernels, orthogonalized_momentum
from realnvp_jax.training.optimizer import Muon
from realnvp_jax.training.state import create_state
from tests.helpers import refusal, small

FLOW = realnvp_jax.glow_flow(
    (4, 4, 3), num_scales=1, num_steps=3, conditioner="gated_dense", base_features=4, num_blocks=2,
    dequantizer="variational", levels=4,
)  # fmt: skip


def flat(tree) -> dict:
    return flax.traverse_util.flatten_dict(tree, sep="/")


def gradients(shapes, seed=0):
    """Random gradients of parameters with these shapes."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(random.standard_normal(leaf.shape), leaf.dtype), shapes)


def trainable(flow):
    return jax.eval_shape(flow.init, jax.random.key(0))["params"]


def test_parts_declare_hidden_kernels_and_the_axes_of_one_layer():
    dense = hidden_kernels(FLOW)
    layer = "scales_0/behind/layers_0/layer/layers_2/conditioner/layers"
    names = [f"{kind}_{number}_kernel" for kind in ("narrow", "wide") for number in (0, 1)]
    assert {path for path in dense if path.startswith("scales_0")} == {f"{layer}/{name}" for name in names}
    learned = {path for path in dense if path.startswith("dequantizer/")}
    assert {path.rpartition("/")[2] for path in learned} == set(names)
    assert set(dense) - learned == {path for path in dense if path.startswith("scales_0")}
    assert set(dense.values()) == {4}
    shapes = flat(trainable(FLOW))
    assert shapes[f"{layer}/wide_0_kernel"].shape == (3, 3, 3, 4, 8)
    assert all(path in shapes for path in dense)

    mlp = hidden_kernels(realnvp_jax.vector_flow(2, num_layers=2, hidden=(3, 4, 5)))
    assert {path.partition("conditioner/")[2] for path in mlp} == {"hidden_1/kernel", "hidden_2/kernel"}
    assert set(mlp.values()) == {2}
    resnet = hidden_kernels(small("image_flow"))
    kinds = {path.partition("conditioner/")[2] for path in resnet}
    assert kinds == {"skip_out/weights", *(f"blocks/{name}/weights" for name in ("skip", "conv_in", "conv_out"))}


def test_updates_of_kernels_are_orthogonal_and_all_others_are_those_of_adam():
    part = Muon(beta2=0.99, kernel_rms=0.3).for_flow(FLOW)
    optimizer, adam = part.transformation(0.1), optax.adam(0.1, b2=0.99)
    first, second = gradients(trainable(FLOW)), gradients(trainable(FLOW), 1)
    update, adam_update = jax.jit(optimizer.update), jax.jit(adam.update)
    updates, state = update(first, optimizer.init(first))
    expected, adam_state = adam_update(first, adam.init(first))
    for got, want in ((updates, expected), (update(second, state)[0], adam_update(second, adam_state)[0])):
        got, want = flat(got), flat(want)
        assert sorted(got) == sorted(want)
        for path, leaf in got.items():
            if path not in hidden_kernels(FLOW):
                np.testing.assert_allclose(leaf, want[path], rtol=1e-5, err_msg=path)
                continue
            matrices = np.asarray(leaf).reshape(-1, *_matrix(leaf))
            values = np.linalg.svd(matrices, compute_uv=False) / (0.1 * 0.3 * np.sqrt(max(matrices.shape[1:])))
            assert 0.6 < np.quantile(values, 0.05) < values.max() < 1.25, path  # the iterations leave tiny ones small
    kernel = flat(first)["scales_0/behind/layers_0/layer/layers_2/conditioner/layers/wide_0_kernel"]
    changes = flat(updates)["scales_0/behind/layers_0/layer/layers_2/conditioner/layers/wide_0_kernel"]
    for gradient, change in zip(
        np.asarray(kernel).reshape(3, 36, 8), np.asarray(changes).reshape(3, 36, 8), strict=True
    ):
        left, _, right = np.linalg.svd(gradient, full_matrices=False)
        assert np.sum(change * (left @ right)) < -0.8 * np.linalg.norm(change) * np.sqrt(8)  # it goes downhill
        assert 0.7 < np.sqrt(np.mean(change**2)) / (0.1 * 0.3) < 1.2


def _matrix(kernel) -> tuple[int, int]:
    return int(np.prod(kernel.shape[-4:-1])), kernel.shape[-1]


def test_layers_do_not_mix():
    def update(params, kernels):
        optimizer = for_kernels(kernels, orthogonalized_momentum(0.1, 0.9, 0.2), optax.sgd(1.0))
        return optimizer.update(params, optimizer.init(params))[0]

    random = np.random.default_rng(0)
    stacked = jnp.asarray(random.standard_normal((2, 5, 3, 3, 2, 4)), jnp.float32)
    same_shape = jnp.asarray(random.standard_normal((18, 4)), jnp.float32)
    together = update({"a": stacked, "b": {"c": same_shape}, "d": jnp.ones(3)}, (("a", 4), ("b/c", 2)))
    np.testing.assert_allclose(together["d"], -np.ones(3))
    alone = update({"k": same_shape}, (("k", 2),))["k"]
    np.testing.assert_allclose(together["b"]["c"], alone, rtol=1e-4, atol=1e-6)
    for place in np.ndindex(2, 5):
        alone = update({"k": stacked[place]}, (("k", 4),))["k"]
        np.testing.assert_allclose(together["a"][place], alone, rtol=1e-4, atol=1e-6)


def test_flows_without_hidden_kernels_are_refused():
    message = refusal(Muon().for_flow(realnvp_jax.vector_flow(2, hidden=(8,))).transformation, 0.1)
    assert "expected hidden kernels for the optimizer muon" in message
    flow = realnvp_jax.autoregressive_flow(2)
    x = np.random.default_rng(0).standard_normal((64, 2))
    assert "got none: use another optimizer" in refusal(
        realnvp_jax.fit, flow, flow.init(jax.random.key(0)), x, jax.random.key(1), num_steps=1, optimizer="muon"
    )


def test_it_trains_and_a_run_that_was_stopped_is_the_same_to_the_bit(tmp_path):
    config = toy2d.get_config()  # a step of images compiles three times as long
    config.optimizer.name = "muon"
    config.schedule.name = "constant"
    config.update(batch_size=64, num_steps=40)
    config.model.update(num_layers=2, hidden=(8, 8))
    config.checkpoint.every = config.evaluate.every = 20
    config.evaluate.num_examples = 256
    whole = realnvp_jax.train(config, tmp_path / "whole")
    config.num_steps = 20
    first = realnvp_jax.train(config, tmp_path / "parts")
    config.num_steps = 40
    assert realnvp_jax.train(config, tmp_path / "parts")["mean"] == whole["mean"] > first["mean"]
    states = []
    for name in ("whole", "parts"):
        flow = realnvp_jax.create(config)
        target = create_state(flow, jax.random.key(0), make_optimizer(config, flow)[0], config.ema_decay)
        checkpoints = Checkpoints(tmp_path / name, read_only=True)
        states.append(checkpoints.restore(target)[0])
        checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_updates_have_the_dtype_of_the_parameters(dtype, x64):
    params = {"a": jnp.ones((2, 3, 4), dtype), "b": jnp.ones(3, dtype)}
    optimizer = for_kernels((("a", 2),), orthogonalized_momentum(0.1, 0.9, 0.2), optax.adam(0.1))
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(updates)} == {dtype}
