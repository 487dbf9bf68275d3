"""A user's own parts from end to end, in processes of their own; and the training step under `pmap` and `shard_map`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from realnvp_jax.cli.commands import main
from realnvp_jax.registry import part_class
from realnvp_jax.runs.python_files import import_file
from tests.helpers import PATIENCE, ROOT, refusal

FILE = "examples/own_parts.py"


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in the folder of the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "True", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def succeed(*arguments: str, **environment: str) -> str:
    """What such a process prints."""
    completed = in_a_process(*arguments, **environment)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def in_one_sentence(completed: subprocess.CompletedProcess[str]) -> str:
    """The last line of what a process that failed wrote to stderr."""
    assert completed.returncode == 1
    message = completed.stderr.strip().splitlines()[-1]
    assert len(message) <= 430
    return message


def train_twice(workdir: Path) -> str:
    """The last line of a small run of the example: two steps, and two more in a second process."""
    sizes = ["num_scales=1", "num_steps=1", "features=4"]
    arguments = ["train.py", f"--config={FILE}", f"--workdir={workdir}", *(f"--config.model.{size}" for size in sizes)]
    periods = ["--config.evaluate.every=2", "--config.checkpoint.every=2", "--config.evaluate.num_examples=64"]
    first = succeed(*arguments, *periods, "--config.num_steps=2")
    assert "conditioner=GatedAttention(features=4), transform=LogisticMixture(), mixing=PlainConv1x1()" in first
    assert "dequantizer=ConditionalNoise()" in first
    again = succeed(*arguments, *periods, "--config.num_steps=4")
    assert "resumed at step 2" in again
    return again.strip().splitlines()[-1]


LOAD = """
import sys
import jax, numpy as np
import realnvp_jax
if sys.argv[2:]:
    from examples import own_parts
flow, params = realnvp_jax.load(sys.argv[1])
fresh = flow.init(jax.random.key(0))
trained, first = params["params"]["dequantizer"], fresh["params"]["dequantizer"]
moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), trained, first)
print(min(jax.tree.leaves(moved)) > 0, type(flow.dequantizer).__name__)
"""


@pytest.mark.slow
def test_own_parts_train_resume_load_and_serve_commands(tmp_path):
    workdir = tmp_path / "run"
    last_line = train_twice(workdir)
    assert re.fullmatch(r"test: \d\.\d{3} \+- \d\.\d{3} bits/dim \(64 examples, step 4 of 4 .*\)", last_line)
    assert succeed("-c", LOAD, str(workdir), "import").split() == ["True", "ConditionalNoise"]
    message = in_one_sentence(in_a_process("-c", LOAD, str(workdir)))
    assert message == (
        "ValueError: expected conditioner to be one of the registered gained_resnet, gated_dense, mlp, resnet, "
        "three_convolutions, vit; got 'gated_attention': did you mean 'gated_dense'? If it is your own part, "
        "first import the file that registers it (for commands, realnvp --import FILE)"
    )
    realnvp = ["-m", "realnvp_jax.cli.main"]
    evaluated = succeed(*realnvp, "--import", FILE, "evaluate", "-w", str(workdir))
    assert evaluated.strip().splitlines()[-1].split(" (")[0] == last_line.split(" (")[0]
    output = tmp_path / "samples.png"
    succeed(*realnvp, "--import", FILE, "sample", "-w", str(workdir), "--num", "4", "-o", str(output))
    assert output.stat().st_size > 0
    reconstructed = succeed(*realnvp, "--import", FILE, "reconstruct", "-w", str(workdir), "--num", "8")
    assert "latents" in reconstructed
    for command in ("show", "sample", "evaluate"):
        message = in_one_sentence(in_a_process(*realnvp, command, "-w", str(workdir)))
        assert message == (
            "Error: expected conditioner to be one of the registered gained_resnet, gated_dense, mlp, resnet, "
            "three_convolutions, vit; got 'gated_attention': did you mean 'gated_dense'? If it is your own part, "
            "first import the file that registers it (for commands, realnvp --import FILE)"
        )


def test_files_that_cannot_be_imported_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    good, broken, absent = tmp_path / "good_parts.py", tmp_path / "broken_parts.py", tmp_path / "absent.py"
    (tmp_path / "beside_good_parts.py").write_text("VALUE = 3\n")
    good.write_text(
        "import dataclasses, realnvp_jax, beside_good_parts\n"
        "@realnvp_jax.register('optimizer', 'imported_by_a_command')\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Mine(realnvp_jax.Optimizer):\n"
        "    size: int = realnvp_jax.parameter(beside_good_parts.VALUE, 'a size')\n"
        "    def transformation(self, schedule): return None\n"
    )
    broken.write_text("import realnvp_jax\n\nrealnvp_jax.register('colour', 'red', int)\n")
    spelt = tmp_path / "spelt_parts.py"
    spelt.write_text("x = = 1\n")
    show = ["show", "-w", str(tmp_path / "nowhere")]
    for files, expected in (
        ([good, good], "expected the workdir of a run"),  # a file may be imported twice
        ([good, broken], "broken_parts.py', which failed in line 3: ValueError: expected a kind of part"),
        ([spelt], "spelt_parts.py', which failed: SyntaxError"),
        ([absent], "absent.py', which does not exist"),
    ):
        options = [text for file in files for text in ("--import", str(file))]
        result = CliRunner().invoke(main, [*options, *show])
        assert result.exit_code == 1, result.output
        assert expected in " ".join(result.output.split())
        assert len(result.output) <= 500 + len(str(tmp_path))
    assert part_class("optimizer", "imported_by_a_command")().size == 3


def test_two_files_of_one_name_are_two_files(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "parts.py").write_text(
            "import dataclasses, realnvp_jax\n"
            "@realnvp_jax.register('optimizer', 'of_parts')\n"
            "@dataclasses.dataclass(frozen=True)\n"
            "class Mine(realnvp_jax.Optimizer):\n"
            "    def transformation(self, schedule): return None\n"
        )
    import_file(tmp_path / "one" / "parts.py")
    import_file(tmp_path / "one" / "parts.py")
    assert "expected a new name for a optimizer; got 'of_parts'" in refusal(import_file, tmp_path / "two" / "parts.py")


# The step of one device


SHARDED = """
import functools, sys
import jax, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
import realnvp_jax
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.parallel import replicate, shard
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step

def largest_difference(trees):
    return max(jax.tree.leaves(jax.tree.map(lambda one, other: np.abs(one - other).max(), *trees)))

optimizer = clipped(Adam(), 1e-2)
images = np.random.default_rng(0).integers(0, 17, (3, 8, 4, 4, 1)).astype(np.uint8)
key = jax.random.key(1)
mesh = Mesh(np.array(jax.devices()), ("devices",))
sizes = {"num_scales": 1, "base_features": 2, "num_blocks": 1, "levels": 17}
flows = [
    realnvp_jax.image_flow((4, 4, 1), **sizes),
    realnvp_jax.glow_flow((4, 4, 1), num_steps=1, **sizes),
]
for flow in flows:
    step = functools.partial(train_step, flow=flow, optimizer=optimizer, flip=True, ema_decay=0.9, axis_name="devices")
    mapped = jax.pmap(step, "devices", in_axes=(None, 0, None), out_axes=None)
    specs = {"in_specs": (P(), P("devices"), P()), "out_specs": P(), "check_vma": False}
    sharded = jax.jit(jax.shard_map(step, mesh=mesh, **specs))
    start = replicate(create_state(flow, jax.random.key(0), optimizer, 0.9, images[0]))
    results = []
    for run in (lambda state, x: mapped(state, shard({"x": x}), key), lambda state, x: sharded(state, {"x": x}, key)):
        state = start
        for x in images:
            state, metrics = run(state, x)
        results.append(jax.device_get((state.params, state.opt_state, state.ema, metrics)))
    assert int(state.step) == 3
    assert largest_difference(jax.device_get((start.params, state.params))) > 1e-3
    print(largest_difference(results))

    # bits/dim in training mode are those of the whole batch on one device
    params = jax.device_get(start.params)
    over = functools.partial(flow.bits_per_dim_train, axis_name="devices")
    mapped = jax.pmap(lambda params, x: over(params, key, x), "devices", in_axes=(None, 0), out_axes=(0, None))
    bits, updated = mapped(params, shard(images[0]))
    expected, statistics = flow.bits_per_dim_train(params, key, images[0])
    np.testing.assert_allclose(np.ravel(bits), expected, rtol=1e-5)
    assert largest_difference(jax.device_get((updated, statistics))) < 1e-5
print(jax.device_count())
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_the_step_under_pmap_and_under_shard_map_is_the_same_to_the_bit(count):
    printed = succeed("-c", SHARDED, JAX_NUM_CPU_DEVICES=str(count))
    assert printed.split() == ["0.0", "0.0", str(count)]
