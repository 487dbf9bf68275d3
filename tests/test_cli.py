"""The console program `realnvp` on small runs."""

import csv
import json
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import realnvp_jax
from configs import smoke, table, toy2d
from realnvp_jax.analysis.round_trip import reconstruct
from realnvp_jax.analysis.run import open_run
from realnvp_jax.analysis.sampling import sample_in_batches
from realnvp_jax.analysis.split_evaluation import evaluate
from realnvp_jax.cli.main import main
from realnvp_jax.runs.trainer import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run of digits, six steps."""
    config = smoke.get_config()
    config.num_steps = 6
    config.evaluate.every = 3
    config.checkpoint.every = 3
    config.model.base_features = 2
    workdir = tmp_path_factory.mktemp("digits") / "run"
    train(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """A run of moons, six steps."""
    config = toy2d.get_config("moons")
    config.num_steps = 6
    config.evaluate.every = 3
    config.evaluate.num_examples = 500
    config.dataset.num_train = 600
    config.model.num_layers = 2
    config.model.hidden = (8,)
    workdir = tmp_path_factory.mktemp("moons") / "run"
    train(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A conditional run of a table."""
    directory = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 200)
    values = np.stack([kind, 5 * kind + rng.standard_normal(200), rng.gamma(2, 100, 200)], axis=1)
    np.savetxt(directory / "shop.csv", values, delimiter=",", header="kind,size,price", comments="")
    config = table.get_config()
    config.dataset.path = str(directory / "shop.csv")
    config.dataset.context = "kind"
    config.num_steps = 2
    config.batch_size = 32
    config.evaluate.every = 2
    config.evaluate.num_samples = 50
    config.model.num_layers = 2
    config.model.hidden = (8,)
    train(config, directory / "run")
    return directory / "run"


def realnvp(*arguments) -> str:
    """What the program prints."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments) -> str:
    """The one sentence with which the program refuses its arguments."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code != 0
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(line) <= 410
    return line


def test_help_is_there_for_every_command():
    text = realnvp("--help")
    for command in ("evaluate", "sample", "reconstruct", "interpolate", "score", "show", "data"):
        assert command in text
        assert "Usage: " in realnvp(command, "--help")
    assert realnvp_jax.__version__ in realnvp("--version")


@pytest.mark.parametrize("name", ["digits", "moons", "shop"])
def test_evaluate_gives_the_number_of_training_to_the_bit(name, request):
    workdir = request.getfixturevalue(name)
    result = json.loads((workdir / "result.json").read_text())
    run = open_run(workdir)
    found = evaluate(run)
    assert (found.mean, found.standard_error) == (result["mean"], result["standard_error"])
    assert (run.step, found.unit, len(found.scores)) == (result["step"], result["unit"], result["num_examples"])
    if name != "shop":
        assert evaluate(run, batch_size=7).mean == pytest.approx(found.mean, rel=1e-6)
    assert f"test: {result['mean']:.3f} +- {result['standard_error']:.3f}" in realnvp("evaluate", "-w", workdir)


def test_evaluate_other_splits_samples_and_seeds(digits, tmp_path):
    run = open_run(digits, "last")
    one = evaluate(run, "validation")
    assert len(one.scores) == 179
    assert one.train_mode is not None
    many = evaluate(run, "validation", num_samples=8)
    assert many.mean < one.mean
    images = run.split("validation").x[:50]
    expected = run.flow.bits_per_dim(run.params, jax.random.key(0), images, num_samples=8)
    np.testing.assert_allclose(many.scores[:50], expected, rtol=1e-5)
    assert evaluate(run, "validation", seed=1).mean != one.mean
    path = tmp_path / "scores.csv"
    printed = realnvp("evaluate", "-w", digits, "--split", "validation", "--step", "last", "--csv", path)
    assert "under the statistics of batches" in printed
    with path.open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["bits_per_dim"]) for row in rows], one.scores, rtol=1e-6)
    note = json.loads((tmp_path / "scores.csv.json").read_text())
    assert note["values"]["mean"] == one.mean
    assert (note["step"], note["options"]["split"]) == (run.step, "validation")
    assert "which is there: add --overwrite" in refused("evaluate", "-w", digits, "--csv", path)
    realnvp("evaluate", "-w", digits, "--csv", path, "--overwrite")
    assert "expected a split, one of train, validation, test" in refused("evaluate", "-w", digits, "--split", "all")
    assert "num_samples of at least 1" in refused("evaluate", "-w", digits, "--num-samples", 0)


def test_running_statistics_that_do_not_fit_are_warned_of(digits):
    result = CliRunner().invoke(main, ["evaluate", "-w", str(digits)])
    assert "warning: the two differ by 0.05 or more" in result.output  # six steps are few


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_a_sample_is_the_same_in_every_batch(name, request):
    run = open_run(request.getfixturevalue(name))
    whole = np.concatenate(list(sample_in_batches(run.flow, run.params, 10, seed=3)))
    assert whole.shape == (10, *run.flow.event_shape)
    parts = list(sample_in_batches(run.flow, run.params, 10, seed=3, batch_size=4))
    assert [len(part) for part in parts] == [4, 4, 2]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-4)
    other = np.concatenate(list(sample_in_batches(run.flow, run.params, 10, seed=4)))
    assert not np.allclose(other, whole)
    cold = np.concatenate(list(sample_in_batches(run.flow, run.params, 10, temperature=0.0)))
    np.testing.assert_allclose(cold, cold[:1].repeat(10, axis=0), rtol=1e-5)


def test_samples_of_images_are_written(digits, tmp_path):
    printed = realnvp("sample", "-w", digits, "-n", 9)
    assert "clamped " in printed
    assert "0.000% were not finite" in printed
    with Image.open(digits / "analysis" / "sample.png") as picture:
        assert picture.size[0] > 100
    realnvp("sample", "-w", digits, "-n", 11, "-o", tmp_path / "x.npz", "--batch-size", 4)
    x = np.load(tmp_path / "x.npz")["x"]
    assert (x.shape, x.dtype) == ((11, 8, 8, 1), np.uint8)
    assert x.max() <= 16
    (tmp_path / "d.png").mkdir()
    realnvp("sample", "-w", digits, "-n", 11, "-o", tmp_path / "pictures")
    with Image.open(tmp_path / "pictures" / "000003.png") as picture:
        third = np.asarray(picture)
    np.testing.assert_array_equal(third, np.round(x[3, ..., 0] * (255 / 16)))
    assert len(list((tmp_path / "pictures").iterdir())) == 11
    note = json.loads((tmp_path / "x.npz.json").read_text())
    assert note["values"]["num"] == 11
    assert 0 <= note["values"]["clamped"] < 1
    assert "which is there" in refused("sample", "-w", digits, "-o", tmp_path / "pictures")
    realnvp("sample", "-w", digits, "-n", 4, "-o", tmp_path / "pictures", "--overwrite")
    assert len(list((tmp_path / "pictures").iterdir())) == 4
    assert "expected a file to write" in refused("reconstruct", "-w", digits, "-o", tmp_path / "d.png")
    assert "expected at most 1024 images in a grid" in refused("sample", "-w", digits, "-n", 2000, "--overwrite")
    assert "one of the extensions .png, .npz" in refused("sample", "-w", digits, "-o", tmp_path / "x.csv")
    assert "expected a temperature of at least 0; got -1.0" in refused(
        "sample", "-w", digits, "--temperature", -1, "-o", tmp_path / "y.npz"
    )
    assert not (tmp_path / "y.npz").exists()


def test_samples_of_vectors_are_written(moons, shop, tmp_path):
    realnvp("sample", "-w", moons, "-n", 50)
    realnvp("sample", "-w", moons, "-n", 50, "-o", tmp_path / "x.csv", "--batch-size", 7)
    realnvp("sample", "-w", moons, "-n", 50, "-o", tmp_path / "x.npz")
    written = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(written, np.load(tmp_path / "x.npz")["x"], rtol=1e-4, atol=1e-5)
    assert (tmp_path / "x.csv").read_text().startswith("x,y\n")
    assert "0.000% were not finite" in realnvp("sample", "-w", moons, "-n", 5, "-o", tmp_path / "y.csv")
    assert "this flow is conditional" in refused("sample", "-w", shop, "-o", tmp_path / "shop.csv")
    realnvp("sample", "-w", shop, "-n", 5, "--context", "1", "-o", tmp_path / "shop.csv")
    assert (tmp_path / "shop.csv").read_text().startswith("size,price\n")
    (tmp_path / "kinds.csv").write_text("other,kind\n5,0\n5,1\n")
    printed = realnvp("sample", "-w", shop, "-n", 5, "--context", tmp_path / "kinds.csv", "-o", tmp_path / "both.csv")
    assert "not used, as they are not in dataset.context: the columns other of 'kinds.csv'" in printed
    one, both = (np.loadtxt(tmp_path / f"{name}.csv", delimiter=",", skiprows=1) for name in ("shop", "both"))
    np.testing.assert_allclose(both[1::2], one[1::2], rtol=1e-4)
    assert not np.allclose(both[0], one[0])
    (tmp_path / "empty.csv").write_text("kind\n")
    for context, expected in [
        ("a", "expected numbers separated by commas in --context, or a table with rows; got 'a'"),
        ("1,2", "expected context of shape (*batch, 1)"),
        (tmp_path / "x.csv", "expected the columns 'kind' in 'x.csv'; got none called 'kind'"),
        (tmp_path / "none.csv", "where there is no file"),
        (tmp_path / "empty.csv", "expected rows of numbers"),
        ("nan", "expected finite contexts"),
    ]:
        assert expected in refused("sample", "-w", shop, "--context", context, "-o", tmp_path / "z.csv")
    assert "expected no context" in refused("sample", "-w", moons, "--context", "1", "-o", tmp_path / "z.csv")
    assert "expected a run with columns as its context" in refused(
        "sample", "-w", moons, "--context", tmp_path / "kinds.csv", "-o", tmp_path / "z.csv"
    )


def test_data_that_have_changed_or_moved(shop, tmp_path):
    for name in ("run", "shop.csv"):
        copy = shutil.copytree if name == "run" else shutil.copy
        copy(shop.parent / name, tmp_path / name)
    workdir, moved = tmp_path / "run", tmp_path / "shop.csv"
    result = json.loads((workdir / "result.json").read_text())
    expected = f"test: {result['mean']:.3f} +- {result['standard_error']:.3f}"
    for place in (moved, tmp_path):
        assert expected in realnvp("evaluate", "-w", workdir, "--data-dir", place)
    frame = pd.read_csv(moved)
    frame[["price", "kind", "size"]].to_csv(moved, index=False)
    assert expected in realnvp("evaluate", "-w", workdir, "--data-dir", moved)
    pd.concat([frame, frame[:50]]).to_csv(moved, index=False)
    options = ["-w", workdir, "--data-dir", moved, "--overwrite"]
    for command in (["evaluate"], ["reconstruct"], ["score", moved]):
        assert "got 50 more rows in its three splits together: say with --data-dir" in refused(*command, *options)
        printed = realnvp(*command, *options, "--allow-changed-data")
        assert printed.count("was started with: 50 more rows in its three splits together") == 1
    config = table.get_config()
    config.update(json.loads((workdir / "config.json").read_text()))
    config.dataset.path, config.num_steps = str(moved), 4
    with pytest.raises(ValueError, match=r"got 50 more rows .*set --config\.dataset\.allow_changed=True"):
        train(config, workdir)
    config.dataset.allow_changed = True
    assert train(config, workdir)["num_examples"] == 25
    realnvp("evaluate", "-w", workdir)  # these are the run's data now, at their new place
    moved.unlink()
    assert "where there is no file" in refused("evaluate", "-w", workdir)
    realnvp("sample", "-w", workdir, "-n", 5, "--context", "1", "-o", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().startswith("size,price\n")


def test_round_trips(digits, moons):
    run = open_run(digits)
    examples = run.split("test").first(30)
    result = reconstruct(run.flow, run.params, examples, batch_size=8)
    assert result.latents.shape == (30, 8, 8, 1)
    x = run.flow.dequantize(jax.random.key(0), examples.x)
    np.testing.assert_allclose(result.latents, run.flow.forward(run.params, x)[0], rtol=1e-3, atol=1e-3)
    assert 0 < result.float32.mean < result.float32.largest < 1e-3
    assert result.float64.largest < 1e-9
    assert result.float32.changed < 0.01
    names = [f"scales_0/before/layer[{i}]" for i in range(4)]
    assert list(result.float32.layers) == names
    assert all(0 < mean <= largest < 1e-4 for largest, mean in result.float32.layers.values())
    printed = realnvp("reconstruct", "-w", digits, "-n", 20)
    for expected in ("20 examples of test", *names, "<- largest", "scale 0", "pixels changed"):
        assert expected in printed
    assert (digits / "analysis" / "reconstruct.png").stat().st_size > 5000
    printed = realnvp("reconstruct", "-w", moons, "-n", 20)
    assert "bijection/pairs/layer/bijection/layers_1[0]" in printed
    assert "standardize" in printed


def test_a_layer_that_is_badly_conditioned_is_named(digits):
    run = open_run(digits)
    changed = jax.tree.map(lambda leaf: leaf, run.params)
    conv_out = changed["params"]["scales_0"]["before"]["layer"]["conditioner"]["conv_out"]
    conv_out["bias"] = conv_out["bias"].at[2, 0].set(1e4)  # a shift that takes four digits of x
    result = reconstruct(run.flow, changed, run.split("test").first(10))
    worst = "scales_0/before/layer[2]"
    assert result.float32.worst_layer == worst
    others = [error for name, (error, _) in result.float32.layers.items() if name != worst]
    assert result.float32.layers[worst][0] > 10 * max(others)


def test_show(digits, shop):
    printed = realnvp("show", "-w", digits)
    result = json.loads((digits / "result.json").read_text())
    for expected in ("data: digits", "checkpoints: steps 3, 6", f"test: {result['mean']:.3f}", "sizes: ", "RealNVP("):
        assert expected in printed
    assert "dataset.context = 'kind'" in realnvp("show", "-w", shop, "--config")


def test_workdirs_that_cannot_be_opened_are_refused(digits, tmp_path):
    for command in ("evaluate", "sample", "reconstruct", "show"):
        assert "expected the workdir of a run, with config.json; got" in refused(command, "-w", tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(digits / "config.json", unfinished)
    assert "expected a checkpoint in" in refused("evaluate", "-w", unfinished)
    assert "no test result yet" in realnvp("show", "-w", unfinished)
    (unfinished / "config.json").write_text("[")
    assert "config.json' as it was written; got a damaged file" in refused("show", "-w", unfinished)
    assert "expected one of the steps [6, 3]" in refused("sample", "-w", digits, "--step", 5, "--overwrite")
    assert "'best' or 'last'; got 'first'" in refused("sample", "-w", digits, "--step", "first", "--overwrite")


def test_a_run_of_another_version_says_which(digits, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(digits, other)
    for path in (other / "checkpoints").glob("*/meta/metadata"):
        meta = json.loads(path.read_text())
        del meta["sha256"]["meta"]  # it would say that the version was changed
        path.write_text(json.dumps({**meta, "version": "0.0.7"}))
    config = json.loads((other / "config.json").read_text())
    config["model"]["num_blocks"] = 3
    (other / "config.json").write_text(json.dumps(config))
    assert "(the run was made by version 0.0.7)" in refused("evaluate", "-w", other)


def test_interpolations_of_images(digits, tmp_path):
    run = open_run(digits)
    test = run.split("test").x
    np.savez(tmp_path / "four.npz", x=test[[3, 1, 4, 5]])
    printed = realnvp("interpolate", tmp_path / "four.npz", "-w", digits, "-n", 3, "-o", tmp_path / "pictures")
    assert "linear.png, spherical.png, manifold.png" in printed  # a flow of one scale has no fine scales
    for kind in ("linear", "spherical"):
        with Image.open(tmp_path / "pictures" / f"{kind}.png") as picture:
            canvas = np.asarray(picture)[..., 0]
        assert canvas.shape == (3 * 66 + 2, 3 * 66 + 2)
        corners = [canvas[row : row + 64 : 8, column : column + 64 : 8] for row in (2, 134) for column in (2, 134)]
        np.testing.assert_array_equal(corners, np.round(test[[3, 1, 4, 5], ..., 0] * (255 / 16)))
    note = json.loads((tmp_path / "pictures.json").read_text())
    assert note["values"]["written"] == ["linear.png", "spherical.png", "manifold.png"]
    assert "which is there" in refused("interpolate", "-w", digits, "-o", tmp_path / "pictures")
    realnvp("interpolate", "-w", digits, "--points", 2, "--kind", "linear", "--from", "samples", "-n", 4)
    with Image.open(digits / "analysis" / "interpolate" / "linear.png") as picture:
        assert picture.size == (4 * 66 + 2, 66 + 2)
    for arguments, expected in [
        (["--kind", "scales"], "expected a flow of images with two scales or more for --kind scales"),
        (["--kind", "manifold", "--points", 2], "expected --points 4 for --kind manifold"),
        (["--from", "nowhere"], "expected a split, one of train, validation, test; got 'nowhere'"),
        ([tmp_path / "none.png"], "where there is no file"),
    ]:
        assert expected in refused("interpolate", "-w", digits, "-o", tmp_path / "others", *arguments)
    assert not (tmp_path / "others").exists()


def test_interpolations_of_vectors(moons, shop, tmp_path):
    printed = realnvp("interpolate", "-w", moons, "-n", 5, "-o", tmp_path / "tables")
    assert "linear.csv, spherical.csv, manifold.csv" in printed
    with (tmp_path / "tables" / "linear.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "place", "x", "y"]
    assert [(int(row["row"]), int(row["place"])) for row in rows[:6]] == [(0, i) for i in range(5)] + [(1, 0)]
    test = open_run(moons).split("test").x
    given = test[np.random.default_rng(0).permutation(len(test))[:4]]
    found = [[float(rows[i][name]) for name in ("x", "y")] for i in (0, 4, 20, 24)]
    np.testing.assert_allclose(found, given, rtol=1e-4, atol=1e-4)
    assert "expected a run without a context" in refused("interpolate", "-w", shop, "-o", tmp_path / "x")
    shutil.copytree(moons, tmp_path / "run")  # as if the columns were called as ours are, and the data were gone
    saved = json.loads((moons / "data.json").read_text())
    (tmp_path / "run" / "data.json").write_text(json.dumps({**saved, "columns": ["row", "length, mm"]}))
    pd.DataFrame(given, columns=["row", "length, mm"])[["length, mm", "row"]].to_csv(tmp_path / "x.csv", index=False)
    realnvp("interpolate", tmp_path / "x.csv", "-w", tmp_path / "run", "-n", 5, "-o", tmp_path / "named")
    other = pd.read_csv(tmp_path / "named" / "linear.csv")
    assert list(other) == ["row_", "place", "row", "length, mm"]
    np.testing.assert_allclose(other.to_numpy(), pd.read_csv(tmp_path / "tables" / "linear.csv"), rtol=1e-4, atol=1e-4)


def test_scores_of_images(digits, tmp_path):
    test = open_run(digits).split("test").x
    np.savez(tmp_path / "noise.npz", x=np.random.default_rng(0).integers(0, 17, test.shape).astype(np.uint8))
    printed = realnvp("score", tmp_path / "noise.npz", "-w", digits, "-o", tmp_path / "scores.csv", "--reference", 50)
    for name in ("log_prob", "bits_per_dim", "percentile", "complexity_corrected", "typicality", "AUROC by"):
        assert name in printed
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["example"] for row in rows] == [str(i) for i in range(len(test))]
    note = json.loads((tmp_path / "scores.csv.json").read_text())
    assert set(note["values"]["aurocs"]) == {"likelihood", "input complexity", "typicality"}
    assert f"{note['values']['aurocs']['typicality']:.3f}" in printed
    np.savez(tmp_path / "same.npz", x=test)
    options = ["--against", "validation", "--reference", 50, "--overwrite", "-o", tmp_path / "scores.csv"]
    printed = realnvp("score", tmp_path / "same.npz", "-w", digits, *options)
    assert "median of validation" in printed
    printed = realnvp("score", tmp_path / "same.npz", "-w", digits, *options, "--against", tmp_path / "same.npz")
    assert f"median of validation, {tmp_path / 'same.npz'}" in printed
    np.savez(tmp_path / "large.npz", x=np.zeros((3, 9, 9, 1), np.uint8))
    (tmp_path / "notes.png").write_text("no picture")
    for file in ("large.npz", "notes.png", "none.npz"):
        assert "expected" in refused("score", tmp_path / file, "-w", digits, "-o", tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_scores_of_vectors(moons, tmp_path):
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "far.csv", rng.normal(5, 1, (30, 2)), delimiter=",", header="x,y", comments="")
    printed = realnvp("score", tmp_path / "far.csv", "-w", moons)
    assert "likelihood  1.000" in printed
    assert "bits_per_dim" not in printed
    with (moons / "analysis" / "score.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert all(float(row["percentile"]) < 5 for row in rows)
