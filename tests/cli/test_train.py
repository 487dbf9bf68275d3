"""The training program as a user runs it: separate processes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import realnvp_jax
from realnvp_jax.cli import train
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.training.optimizer import Adam, clipped, learning_rate_schedule
from realnvp_jax.training.state import create_state
from tests.helpers import PATIENCE, ROOT, wait_until


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """One compilation cache for all runs."""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compilation_cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "True",
    }


def command(*arguments: str) -> list[str]:
    config = [] if any(a.startswith("--config=") for a in arguments) else ["--config=configs/smoke.py"]
    return [sys.executable, "train.py", *config, *arguments]


def run(environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture(scope="session")
def finished(environment, tmp_path_factory):
    """A smoke run of 40 steps in one go."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    completed = run(environment, f"--workdir={workdir}")
    assert completed.returncode == 0, completed.stderr
    return workdir, completed.stdout


def last_state(workdir: Path):
    flow, _ = realnvp_jax.load(workdir)
    optimizer = clipped(Adam(), learning_rate_schedule(1e-3))
    target = jax.eval_shape(lambda: create_state(flow, jax.random.key(0), optimizer, 0.99))
    checkpoints = Checkpoints(workdir, read_only=True)
    state, best = checkpoints.restore(target)
    checkpoints.close()
    return state, best


@pytest.mark.slow
def test_a_run_prints_and_writes_what_it_should(finished):
    workdir, printed = finished
    for expected in ("devices: 1 x cpu", "parameters: 1,928 trainable", "1,438 train, 179 validation", "compiling"):
        assert expected in printed
    last_line = printed.strip().splitlines()[-1]
    assert re.fullmatch(r"test: \d\.\d{3} \+- \d\.\d{3} bits/dim \(180 examples, .*\)", last_line)
    for name in ("config.json", "metrics.csv", "curves.png", "samples.png", "result.json"):
        assert (workdir / name).stat().st_size > 0
    assert list((workdir / "tensorboard").iterdir())
    assert len(list((workdir / "samples").glob("*.png"))) == 2
    with (workdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert float(rows[-1]["validation"]) < float(rows[1]["validation"])
    assert all(row["validation_train_mode"] for row in rows[1::2])


@pytest.mark.slow
def test_load_gives_the_parameters_of_the_result(finished):
    workdir, _ = finished
    result = json.loads((workdir / "result.json").read_text())
    flow, params = realnvp_jax.load(workdir)
    from realnvp_jax.data.images.digits import Digits
    from realnvp_jax.data.images.framed import FramedImages, load_images

    names = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}
    test = load_images(FramedImages(Digits()), names, flow).test.x
    bits = flow.bits_per_dim(params, jax.random.key(0), test)
    assert float(np.asarray(bits).mean(dtype=np.float64)) == pytest.approx(result["mean"], rel=1e-5)
    assert result["num_examples"] == 180


@pytest.mark.slow
def test_a_finished_run_prints_its_result_again(finished, environment):
    workdir, printed = finished
    before = (workdir / "metrics.csv").read_text()
    again = run(environment, f"--workdir={workdir}")
    assert again.returncode == 0
    assert again.stdout.strip().splitlines()[-1] == printed.strip().splitlines()[-1]
    assert (workdir / "metrics.csv").read_text() == before
    other = run(environment, f"--workdir={workdir}", "--config.seed=1")
    assert other.returncode == 1
    assert "seed was 0, now 1" in other.stderr


KILLED = """
import os, runpy, signal
from realnvp_jax.runs.checkpoints import Checkpoints

save = Checkpoints.save

def save_and_die(self, state, *others):
    save(self, state, *others)
    if int(state.step) == 30:  # the checkpoint of step 20 is complete; this one may be
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.save = save_and_die
runpy.run_path("train.py", run_name="__main__")
"""


@pytest.mark.slow
def test_killed_and_started_again_is_the_same_to_the_bit(finished, environment, tmp_path):
    whole, _ = finished
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "--config=configs/smoke.py", f"--workdir={tmp_path}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "result.json").exists()
    resumed = run(environment, f"--workdir={tmp_path}")
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(r"resumed at step [23]0", resumed.stdout)
    ours, best = last_state(tmp_path)
    theirs, their_best = last_state(whole)
    chex.assert_trees_all_equal(ours, theirs)
    assert best == their_best
    assert (tmp_path / "result.json").read_text() == (whole / "result.json").read_text()
    with (tmp_path / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [10, 20, 30, 40]


@pytest.mark.slow
def test_an_interrupted_run_saves_and_says_how_to_resume(finished, environment, tmp_path):
    process = subprocess.Popen(
        command(f"--workdir={tmp_path}", "--config.num_steps=100000"),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: (tmp_path / "checkpoints" / "10").is_dir() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    step = re.search(r"stopped and saved at step (\d+); resume with: python train.py --config", errors)
    assert step is not None, errors
    assert (tmp_path / "checkpoints" / step[1]).is_dir()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run(environment, tmp_path):
    completed = run(
        environment, f"--workdir={tmp_path}", "--config.learning_rate=1e4", "--config.optimizer.clip_norm=0"
    )
    assert completed.returncode == 1
    assert re.search(r"Error: loss .* at step \d+: .* try a lower learning_rate", completed.stderr)
    assert not (tmp_path / "result.json").exists()


ON_DEVICES = """
import sys
import jax, numpy as np
import realnvp_jax
from realnvp_jax.data.images.digits import Digits
from realnvp_jax.data.images.framed import FramedImages, load_images
from realnvp_jax.mode import INITIALIZE
from realnvp_jax.training.optimizer import SGD, Adam, clipped, learning_rate_schedule
from realnvp_jax.data.examples import Examples
from realnvp_jax.training.parallel import parallel_train_step, replicate, shard, training_batch
from realnvp_jax.training.state import create_state

losses, leaves = [], []
for memory in sys.argv[2:]:
    optimizer = clipped(SGD(), 1e-4, 0)
    sizes = {"num_scales": 1, "base_features": 4, "num_blocks": 1, "levels": 17}
    if memory == "attention":
        parts = {"conditioner": "gated_dense", "attention_heads": 2, "dropout": 0.2, "mixing": "permutation"}
        flow = realnvp_jax.glow_flow((8, 8, 1), num_steps=2, masks="both", scale_function="sigmoid", **parts, **sizes)
        optimizer = clipped(SGD(), 1e-5, 0)
    elif memory == "glow":
        parts = {"conditioner": "gated_dense", "transform": "mixture_affine", "dequantizer": "variational"}
        flow = realnvp_jax.glow_flow((8, 8, 1), num_steps=2, noise_features=4, num_logistics=2, **parts, **sizes)
        optimizer = clipped(SGD(), 1e-5, 0)
    else:
        flow = realnvp_jax.image_flow((8, 8, 1), memory=memory, **sizes)
    names = dict.fromkeys(("train", "validation", "test"), "all[:160]")
    images = load_images(FramedImages(Digits()), names, flow).train.x
    state = replicate(create_state(flow, jax.random.key(0), optimizer, 0.9))
    if memory in ("store", "glow", "attention"):
        parts = 1 if memory == "store" else 2
        step = parallel_train_step(flow, optimizer, l2=5e-5, flip=True, shift=1, ema_decay=0.9, accumulate=parts)
        for i in range(5):
            state, metrics = step(state, shard({"x": images[32 * i : 32 * (i + 1)]}), jax.random.key(1))
            losses.append(float(metrics["score"]))
    else:  # two dispatches of up to three steps
        step = parallel_train_step(flow, optimizer, l2=5e-5, flip=True, ema_decay=0.9, steps_per_dispatch=3)
        for first, count in ((0, 3), (3, 2)):
            batch = training_batch(Examples(images), 0, 32, first, count, 3)
            state, metrics = step(state, batch, jax.random.key(1), count)
            losses += [float(score) for score in metrics["score"][:count]]
    leaves += [np.asarray(leaf) for leaf in jax.tree.leaves((state.params, state.ema))]
# a flow of vectors with ActNorm, initialized from the first batch, a simulated reduction over the devices included
vectors = realnvp_jax.vector_flow(3, num_layers=3, hidden=(8,), normalization="act_norm", masks="learned")
x = np.random.default_rng(0).gamma(2.0, 3.0, (128, 3)).astype(np.float32)
state = replicate(create_state(vectors, jax.random.key(0), optimizer, 0.0, x[:64]))
leaves += [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
params = jax.device_get(state.params)
apply = lambda x: vectors.bijection.apply(
    params, x, None, INITIALIZE.over("d"), method="forward", mutable=["params", "standardization"]
)[1]
leaves += [np.asarray(leaf) for leaf in jax.tree.leaves(jax.pmap(apply, "d", out_axes=None)(shard(x[:64])))]
step = parallel_train_step(vectors, optimizer, noise=np.full(3, 0.1), accumulate=2)
for i in range(3):
    state, metrics = step(state, shard({"x": x[32 * i : 32 * (i + 1)]}), jax.random.key(1))
    losses.append(float(metrics["score"]))
leaves += [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
np.savez(sys.argv[1], *leaves, losses=losses, devices=jax.device_count())
"""


@pytest.mark.parametrize(
    "memories",
    [
        ("store",),
        *(pytest.param(names, marks=pytest.mark.slow) for names in (("remat", "invert"), ("glow",), ("attention",))),
    ],
)
def test_eight_devices_and_one_agree(memories, environment, tmp_path):
    results = []
    for count in (1, 8):
        path = tmp_path / f"devices_{count}.npz"
        subprocess.run(
            [sys.executable, "-c", ON_DEVICES, str(path), *memories],
            cwd=ROOT,
            env={**environment, "JAX_NUM_CPU_DEVICES": str(count)},
            check=True,
        )
        results.append(np.load(path))
    one, eight = results
    assert (int(one["devices"]), int(eight["devices"])) == (1, 8)
    np.testing.assert_allclose(eight["losses"], one["losses"], rtol=1e-5)
    for name in one.files:
        if name != "devices":
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_table_of_ones_own_with_a_context(environment, tmp_path):
    random = np.random.default_rng(0)
    kind = random.integers(0, 2, 400)
    values = np.stack([kind, 5 * kind + random.standard_normal(400), random.gamma(2, 100, 400)], axis=1)
    csv_file = tmp_path / "shop.csv"
    csv_file.write_text("kind,size,price\n" + "".join(f"{a:.0f},{b:.4f},{c:.2f}\n" for a, b, c in values))
    workdir = tmp_path / "run"
    arguments = [
        "--config=configs/table.py",
        f"--workdir={workdir}",
        f"--config.dataset.path={csv_file}",
        "--config.dataset.context=kind",
        "--config.batch_size=32",
        "--config.num_steps=40",
        "--config.evaluate.every=20",
        "--config.evaluate.num_samples=100",
        "--config.model.num_layers=2",
        "--config.model.hidden=(8,)",
        "--config.model.normalization=act_norm",
    ]
    completed = run(environment, *arguments)
    assert completed.returncode == 0, completed.stderr
    last_line = completed.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"test: -\d\.\d{3} \+- \d\.\d{3} nats \(40 examples, .*\)", last_line)
    assert "320 train, 40 validation, 40 test" in completed.stdout
    flow, params = realnvp_jax.load(workdir)
    assert (flow.event_shape, flow.context_size) == ((2,), 1)
    statistics = params["standardization"]["standardize"]["statistics"]
    np.testing.assert_allclose(statistics["mean"][1], values[:, 2].mean(), rtol=0.1)
    low = flow.sample(params, jax.random.key(0), (500,), context=np.zeros(1, np.float32))
    high = flow.sample(params, jax.random.key(0), (500,), context=np.ones(1, np.float32))
    assert high[:, 0].mean() > low[:, 0].mean()
    with (workdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["validation"]) == json.loads((workdir / "result.json").read_text())["validation"]
    again = run(environment, *arguments)
    assert again.stdout.strip().splitlines()[-1] == last_line
    resumed = run(environment, *arguments, "--config.num_steps=50")
    assert re.search(r"resumed at step 40", resumed.stdout), resumed.stderr
    changed = run(environment, *arguments, "--config.dataset.context=size")
    assert "dataset.context was 'kind', now 'size'" in changed.stderr


@pytest.mark.parametrize(
    ("config", "size"),
    [("toy2d", "num_layers=2"), pytest.param("toy2d_ar", "num_components=3", marks=pytest.mark.slow)],
)
def test_points_on_the_plane(environment, tmp_path, config, size):
    completed = run(
        environment,
        f"--config=configs/{config}.py:circles",
        f"--workdir={tmp_path}",
        "--config.num_steps=30",
        "--config.dataset.num_train=600",
        "--config.evaluate.num_examples=500",
        f"--config.model.{size}",
        "--config.model.hidden=(8,)",
    )
    assert completed.returncode == 0, completed.stderr
    assert re.search(r"test: -[12]\.\d{3} \+- 0\.\d{3} nats \(500 examples", completed.stdout)
    density_sum = json.loads((tmp_path / "result.json").read_text())["density_sum"]
    assert 0.9 < density_sum < 1.01
    assert f"integrates to {density_sum:.4f}" in completed.stdout
    for name in ("samples", "density", "latents", "warped_grid", "curves"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


@pytest.mark.slow
def test_images_pixel_by_pixel(environment, tmp_path):
    arguments = [
        "--config=configs/shapes_pixelcnn.py",
        f"--workdir={tmp_path}",
        "--config.num_steps=20",
        "--config.schedule.warmup_steps=5",
        "--config.dataset.num_train=300",
        "--config.evaluate.num_examples=100",
        "--config.evaluate.num_samples=9",
        "--config.model.base_features=4",
        "--config.model.num_blocks=1",
        "--config.model.num_components=3",
    ]
    completed = run(environment, *arguments)
    assert completed.returncode == 0, completed.stderr
    last_line = completed.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"test: \d\.\d{3} \+- \d\.\d{3} bits/dim \(100 examples, .*\)", last_line)
    for name in ("samples", "samples_continuous", "curves"):
        assert (tmp_path / f"{name}.png").stat().st_size > 0
    flow, params = realnvp_jax.load(tmp_path)
    assert flow.sample(params, jax.random.key(0), (2,)).shape == (2, 20, 20, 1)
    resumed = run(environment, *arguments, "--config.num_steps=21")
    assert "resumed at step 20" in resumed.stdout, resumed.stderr


@pytest.mark.slow
def test_digits_conditional_on_their_class(environment, tmp_path):
    arguments = [
        "--config=configs/digits_labels.py",
        f"--workdir={tmp_path}",
        "--config.num_steps=4",
        "--config.model.num_scales=1",
        "--config.model.base_features=2",
        "--config.model.num_blocks=1",
        "--config.evaluate.num_samples=50",
    ]
    completed = run(environment, *arguments)
    assert completed.returncode == 0, completed.stderr
    assert "conditional on 10 classes: '0, 1, 2, 3, 4, 5, 6, 7, 8, 9'" in completed.stdout
    assert re.fullmatch(r"test: \d\.\d{3} \+- \d\.\d{3} bits/dim .*", completed.stdout.strip().splitlines()[-1])
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == (5 * 66 + 2, 10 * 66 + 2 + 16)  # a title, and a row of five images for each class
    flow, params = realnvp_jax.load(tmp_path)
    x = flow.sample(params, jax.random.key(0), (2,), context=np.eye(10, dtype=np.float32)[3])
    assert x.shape == (2, 8, 8, 1)
    resumed = run(environment, *arguments, "--config.num_steps=5")
    assert "resumed at step 4" in resumed.stdout, resumed.stderr
    other = run(environment, *arguments, "--config.num_steps=6", "--config.dataset.classes=('a','b')")
    assert "dataset.classes was ['0', '1'" in other.stderr


@pytest.mark.slow
def test_a_table_by_a_masked_autoregressive_flow(environment, tmp_path):
    completed = run(
        environment,
        "--config=configs/tabular_maf.py:wine",
        f"--workdir={tmp_path}",
        "--config.num_steps=20",
        "--config.model.num_layers=2",
    )
    assert completed.returncode == 0, completed.stderr
    assert re.search(r"test: -\d+\.\d{3} \+- \d\.\d{3} nats \(36 examples", completed.stdout)
    flow, params = realnvp_jax.load(tmp_path)
    assert params["batch_stats"]
    assert flow.sample(params, jax.random.key(0), (2,)).shape == (2, 13)


@pytest.mark.slow
def test_a_folder_of_pictures(environment, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for i in range(40):
        x = np.random.default_rng(i).integers(0, 256, (9 + i % 3, 8 + i % 5, 3)).astype(np.uint8)
        Image.fromarray(x).save(folder / f"{i}.png" if i % 2 else folder / "more" / f"{i}.jpg")
    (folder / "notes.png").write_text("no picture")
    workdir = tmp_path / "run"
    arguments = [
        "--config=configs/folder.py",
        f"--workdir={workdir}",
        f"--config.dataset.path={folder}",
        f"--config.dataset.cache_dir={tmp_path / 'cache'}",
        "--config.dataset.num_bits=3",
        "--config.dataset.crop=random",
        "--config.dataset.resize=8",
        "--config.model.event_shape=(6,6,3)",
        "--config.batch_size=8",
        "--config.num_steps=4",
        "--config.schedule.warmup_steps=2",
        "--config.model.num_scales=1",
        "--config.model.base_features=2",
        "--config.model.num_blocks=1",
        "--config.evaluate.num_samples=4",
    ]
    completed = run(environment, *arguments)
    assert completed.returncode == 0, completed.stderr
    assert "files left out because they cannot be used: 1\n  'notes.png': not a picture" in completed.stdout
    assert "32 train, 4 validation, 4 test" in completed.stdout
    last_line = completed.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"test: \d\.\d{3} \+- \d\.\d{3} bits/dim \(4 examples, .*\)", last_line)
    flow, params = realnvp_jax.load(workdir)
    assert (flow.event_shape, flow.levels) == ((6, 6, 3), 8)
    assert flow.sample(params, jax.random.key(0), (2,)).shape == (2, 6, 6, 3)
    files = json.loads((workdir / "split_files.json").read_text())
    assert [len(files[role]) for role in ("train", "validation", "test", "left out")] == [32, 4, 4, 1]
    again = run(environment, *arguments, f"--config.dataset.cache_dir={tmp_path / 'other'}")
    assert again.stdout.strip().splitlines()[-1] == last_line
    (folder / "new.png").write_bytes((folder / "1.png").read_bytes())
    changed = run(environment, *arguments, "--config.num_steps=6")
    assert changed.returncode == 1
    assert re.search(
        r"Error: expected the images that the run in .* was started with.*; got \d+ files added, removed",
        changed.stderr,
    )
    strict = run(environment, *arguments, f"--workdir={tmp_path / 'strict'}", "--config.dataset.strict=True")
    assert strict.returncode == 1
    assert "got 1 others, the first 'notes.png': not a picture" in strict.stderr
    assert not (tmp_path / "strict").exists()


@pytest.mark.slow
def test_a_batch_that_the_devices_do_not_divide_is_refused(environment, tmp_path):
    eight = {**environment, "JAX_NUM_CPU_DEVICES": "8"}
    completed = run(eight, f"--workdir={tmp_path}", "--config.batch_size=12")
    assert completed.returncode == 1
    assert "expected a batch_size that 8 device(s) divide; got 12: use a multiple of 8" in completed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.lerning_rate=3"], "expected a config key; got 'lerning_rate': did you mean 'learning_rate'?"),
        (["--config.dataset.nam=x"], "did you mean 'dataset.name'?"),
        (["--config.learning_rate=fast"], "could not convert string to float"),
        (["--workdri=x"], "got '--workdri=x': did you mean --workdir?"),
        (["--batch_size=3"], "expected a config key as --config.batch_size=...; got '--batch_size=3'"),
        (["--seeds=1,x"], "expected --seeds as numbers such as 0,1,2; got '1,x'"),
        (["--seeds=1,1"], "expected different seeds, such as 0,1,2; got 1,1"),
        (["digits"], "expected one config; got 'configs/smoke.py' and 'digits'"),
        (["--config=configs/digit.py"], "got 'configs/digit.py', which is neither: did you mean 'digits'?"),
        (["--config=configs/digits.py:foo"], "expected 'digits.py' without an argument"),
        (["--config.tracker=wandbb"], "expected tracker to be one of the registered mlflow, wandb"),
        (["--config.evaluate.every=0"], "expected evaluate.every of at least 1 and at most 2147483647; got 0"),
        (["--config.dataset.name=cifar"], "got 'cifar'"),
        (["--config=configs/table.py"], "expected a .csv, .tsv, .txt, .parquet or .npz file in dataset.path"),
        (
            ["--config=configs/tabular.py:wine", "--config.batch_size=200"],
            "expected at least batch_size=200 examples in dataset.train='all[:60%]'; got 107: lower batch_size",
        ),
        (["--config=configs/tabular.py:wine", "--config.dataset.context=colour"], "got 'colour'"),
        (["--config=configs/toy2d.py:moon"], "got 'moon'"),
        (
            ["--config=configs/toy2d_ar.py:moons", "--config.model.num_components=0"],
            "expected model.num_components of at least 1 and at most 10000; got 0",
        ),
        (
            ["--config=configs/shapes.py", "--config.dataset.train=all"],
            "expected a part of train or validation or test of 'shapes'",
        ),
        (["--config.model.residual=True"], "expected a key that the image_flow reads"),
        (
            ["--config=configs/toy2d_ar.py", "--config.model.transform=spline"],
            "got 'model.transform', which has no effect",
        ),
        (["--config=configs/shapes_pixelcnn.py", "--config.optimizer.l2=1"], "expected optimizer.l2 of 0"),
        (["--config.model.normalization=layer_norm"], "expected normalization to be one of"),
        (["--config.model.num_scales=5"], "expected height and width divisible by 16 for num_scales=5; got 8x8"),
    ],
)
def test_a_mistake_on_the_command_line_gets_one_sentence(monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("realnvp_jax.compilation_cache.enable_compilation_cache", lambda: None)
    config = [] if any(a.startswith("--config=") for a in arguments) else ["--config=configs/smoke.py"]
    result = CliRunner().invoke(train.main, [*config, f"--workdir={tmp_path / 'run'}", *arguments])
    assert result.exit_code == 1
    assert message in result.output
    last_line = result.output.splitlines()[-1]
    assert last_line.startswith("Error: ")
    assert message in last_line
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_a_process(environment, tmp_path):
    completed = run(environment, f"--workdir={tmp_path / 'run'}", "--config.lerning_rate=3")
    assert completed.returncode == 1
    assert completed.stderr == (
        "Error: expected a config key; got 'lerning_rate': did you mean 'learning_rate'? "
        "'realnvp train --help' lists all keys\n"
    )


def test_the_help_lists_every_key(environment):
    from configs import default

    completed = run(environment, "--help")
    assert completed.returncode == 0
    for key in default.KEYS:
        assert f"--config.{key} " in completed.stdout


@pytest.mark.slow
def test_a_shipped_config_trains_in_any_directory_under_several_seeds(environment, tmp_path):
    elsewhere = {**environment, "PYTHONPATH": str(ROOT)}

    def realnvp(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "realnvp_jax.cli.main", *arguments]
        return subprocess.run(program, cwd=tmp_path, env=elsewhere, capture_output=True, text=True, timeout=600)

    arguments = ["train", "smoke", "--seeds=0,3", "--config.num_steps", "10", "--config.evaluate.num_examples=64"]
    first = realnvp(*arguments)
    assert first.returncode == 0, first.stderr
    again = realnvp(*arguments)
    assert again.stdout.count("holds this finished run") == 2
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    summary = json.loads((tmp_path / "runs" / "smoke" / "seeds.json").read_text())
    means = [json.loads((tmp_path / "runs/smoke" / f"seed_{i}" / "result.json").read_text())["mean"] for i in (0, 3)]
    assert summary["results"] == means
    assert means[0] != means[1]
    assert summary["standard_deviation"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5)
    assert first.stdout.splitlines()[-1].startswith(f"test over 2 seeds: mean {np.mean(means):.3f}, standard deviation")
    run_file = json.loads((tmp_path / "runs/smoke/seed_3/run.json").read_text())
    assert run_file["command"].startswith("realnvp train smoke --seeds=0,3")
    listed = realnvp("configs")
    assert "Expected: 2.05 bits/dim on the test split." in listed.stdout
    assert "def get_config()" in realnvp("configs", "digits").stdout
    assert "did you mean 'digits'" in realnvp("configs", "digit").stderr


def test_options_take_one_dash_as_well(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    calls = []
    monkeypatch.setattr("realnvp_jax.compilation_cache.enable_compilation_cache", lambda: None)
    monkeypatch.setattr(
        "realnvp_jax.runs.start.train", lambda config, workdir, command: calls.append((config, workdir))
    )
    arguments = ["smoke", f"-workdir={tmp_path}", "-config.batch_size=16", "--config.seed", "3"]
    result = CliRunner().invoke(train.main, arguments)
    assert result.exit_code == 0, result.output
    ((config, workdir),) = calls
    assert (workdir, config.batch_size, config.seed) == (tmp_path, 16, 3)
