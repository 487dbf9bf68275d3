"""`realnvp sample`, of classes too."""

import json
import shutil
import types

import jax
import numpy as np
import pytest
from PIL import Image

import realnvp_jax
from realnvp_jax.analysis.run import open_run
from realnvp_jax.analysis.sampling import sample_in_batches
from realnvp_jax.analysis.split_evaluation import evaluate
from realnvp_jax.cli.sample import _write
from realnvp_jax.data.vectors.discrete import Grid
from realnvp_jax.runs.start import train
from tests.cli.helpers import realnvp, refused
from tests.helpers import refusal, tiny_labels_config


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "which exists" in refused("sample", "-w", digits, "-o", tmp_path / "pictures")
    realnvp("sample", "-w", digits, "-n", 4, "-o", tmp_path / "pictures", "--overwrite")
    assert len(list((tmp_path / "pictures").iterdir())) == 4
    assert "expected a file to write" in refused("reconstruct", "-w", digits, "-o", tmp_path / "d.png")
    assert "expected at most 1024 images in a grid" in refused("sample", "-w", digits, "-n", 2000, "--overwrite")
    assert "one of the extensions .png, .npz" in refused("sample", "-w", digits, "-o", tmp_path / "x.csv")
    assert "expected a finite temperature of at least 0; got -1.0" in refused(
        "sample", "-w", digits, "--temperature", -1, "-o", tmp_path / "y.npz"
    )
    assert not (tmp_path / "y.npz").exists()


def test_samples_of_vectors_are_written(moons, shop, tmp_path, monkeypatch):
    realnvp("sample", "-w", moons, "-n", 50)
    realnvp("sample", "-w", moons, "-n", 50, "-o", tmp_path / "x.csv", "--batch-size", 7)
    realnvp("sample", "-w", moons, "-n", 50, "-o", tmp_path / "x.npz")
    written = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(written, np.load(tmp_path / "x.npz")["x"], rtol=1e-4, atol=1e-5)
    assert (tmp_path / "x.csv").read_text().startswith("x,y\n")
    assert "0.000% were not finite" in realnvp("sample", "-w", moons, "-n", 5, "-o", tmp_path / "y.csv")
    assert "expected --context for a flow that is conditional on" in refused(
        "sample", "-w", shop, "-o", tmp_path / "shop.csv"
    )
    realnvp("sample", "-w", shop, "-n", 5, "--context", "1", "-o", tmp_path / "shop.csv")
    lines = (tmp_path / "shop.csv").read_text().splitlines()
    assert lines[0] == "kind,size,price"
    assert all(line.startswith("1,") for line in lines[1:])
    realnvp("score", tmp_path / "shop.csv", "-w", shop, "-o", tmp_path / "scores.csv")  # as a table of the run
    shown = []
    monkeypatch.setattr("realnvp_jax.plots.vectors.save_points", lambda *arguments: shown.append(arguments))
    realnvp("sample", "-w", shop, "-n", 5, "--context", "kind=1", "--temperature", 0.5, "-o", tmp_path / "shop.png")
    realnvp("sample", "-w", moons, "-n", 5, "-o", tmp_path / "moons.png")
    (no_data, samples, columns, _, title), (data, *_) = shown
    assert no_data is None  # all rows of the data are not comparable with samples at one context
    assert (samples.shape, columns) == ((5, 2), ("size", "price"))
    assert title.startswith("run, step 2: ")
    assert title.endswith(" nats; kind=1; temperature 0.5")
    assert len(data) == 500
    (tmp_path / "kinds.csv").write_text("other,kind\n5,0\n5,1\n")
    printed = realnvp("sample", "-w", shop, "-n", 5, "--context", tmp_path / "kinds.csv", "-o", tmp_path / "both.csv")
    assert "not used, as they are not in dataset.context: the columns other of 'kinds.csv'" in printed
    one, both = (np.loadtxt(tmp_path / f"{name}.csv", delimiter=",", skiprows=1) for name in ("shop", "both"))
    assert both[:, 0].tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_allclose(both[1::2], one[1::2], rtol=1e-4)
    assert not np.allclose(both[0], one[0])
    (tmp_path / "empty.csv").write_text("kind\n")
    for context, expected in [
        ("a", "expected numbers separated by commas in --context, or a table with rows; got 'a'"),
        ("1,2", "expected context of shape (*batch, 1)"),
        (tmp_path / "x.csv", "expected the columns 'kind' in 'x.csv'; got none called 'kind'"),
        (tmp_path / "none.csv", "where there is no file"),
        (tmp_path / "empty.csv", "expected rows below the header"),
        ("nan", "expected finite contexts"),
    ]:
        assert expected in refused("sample", "-w", shop, "--context", context, "-o", tmp_path / "z.csv")
    assert "expected no context" in refused("sample", "-w", moons, "--context", "1", "-o", tmp_path / "z.csv")
    assert "expected a run that is conditioned on columns" in refused(
        "sample", "-w", moons, "--context", tmp_path / "kinds.csv", "-o", tmp_path / "z.csv"
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of digits, four steps, conditional on labels."""
    workdir = tmp_path_factory.mktemp("labels") / "run"
    train(tiny_labels_config(), workdir)
    return workdir


@pytest.mark.slow
def test_a_run_has_a_row_of_samples_for_each_class(run, capsys, tmp_path):
    config = json.loads((run / "config.json").read_text())
    assert config["dataset"]["classes"] == list("0123456789")
    for picture in ("samples.png", "samples_continuous.png", "samples/step_00000002.png"):
        with Image.open(run / picture) as image:
            assert image.size[0] == 4 * 66 + 2  # four columns and ten rows of 64x64 pixels below a title
            assert 0 < image.size[1] - (10 * 66 + 2) <= 32
    flow, params = realnvp_jax.load(run)
    assert flow.context_size == 10
    x = flow.to_uint8(flow.sample(params, jax.random.key(0), (2,), context=np.eye(10)))
    assert x.shape == (2, 10, 8, 8, 1)
    opened = open_run(run)
    assert evaluate(opened).mean == json.loads((run / "result.json").read_text())["mean"]
    examples = opened.split("test").first(5)
    right, wrong = (
        flow.bits_per_dim(params, jax.random.key(0), examples.x, np.roll(examples.context, shift, axis=1))
        for shift in (0, 1)
    )
    assert not np.allclose(right, wrong)
    resumed = tmp_path / "resumed"
    shutil.copytree(run, resumed)
    longer = tiny_labels_config()
    longer.num_steps = 6
    train(longer, resumed)
    printed = capsys.readouterr().out
    assert "conditional on 10 classes: '0, 1, 2, 3, 4, 5, 6, 7, 8, 9'" in printed
    assert "resumed at step 4" in printed
    longer.dataset.context = ""
    with pytest.raises(ValueError, match=r"dataset.context was 'label', now ''") as caught:
        train(longer, resumed)
    assert len(str(caught.value)) <= 400


@pytest.mark.slow
def test_samples_of_classes_are_drawn(run, shop, tmp_path):
    printed = realnvp("sample", "-w", run, "-o", tmp_path / "all.png")
    assert "rows, from the top: '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'" in printed
    assert "70 samples: " in printed
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.size == (7 * 66 + 2, 16 + 10 * 66 + 2)
    assert "class: '3'\n5 samples" in realnvp(
        "sample", "-w", run, "-n", 5, "--label", 3, "-o", tmp_path / "three.npz", "--batch-size", 2
    )
    printed = realnvp("sample", "-w", run, "-n", 5, "--label", "3, 8", "-o", tmp_path / "both.npz")
    assert "classes, 3 samples of each in this order: '3', '8'" in printed
    numbers = ",".join(map(str, np.eye(10)[3]))
    realnvp("sample", "-w", run, "-n", 5, "--context", numbers, "-o", tmp_path / "numbers.npz")
    three, both, by_numbers = (np.load(tmp_path / f"{name}.npz")["x"] for name in ("three", "both", "numbers"))
    assert (three != by_numbers).mean() < 0.01  # of another batch
    assert (both[:3] != three[:3]).mean() < 0.01
    assert (both[3:5] != three[3:5]).any()
    assert (len(three), len(both)) == (5, 6)
    note = json.loads((tmp_path / "both.npz.json").read_text())
    assert note["values"]["classes"] == ["3", "8"]
    arguments = ("sample", "-w", run, "-o", tmp_path / "z.npz")
    assert "expected one of the run's classes, '0, 1, 2" in refused(*arguments, "--label", "12")
    assert "expected --label or --context; got both" in refused(*arguments, "--label", 1, "--context", "1")
    for context in ("label=1", tmp_path / "labels.csv"):
        assert "expected" in refused(*arguments, "--context", context)
    of_table = refused("sample", "-w", shop, "-o", tmp_path / "z.csv", "--label", "1")
    assert "expected a run conditional on labels, dataset.context='label', for --label" in of_table
    for command in ("evaluate", "reconstruct"):
        assert "60" in realnvp(command, "-w", run)


@pytest.mark.slow
def test_columns_of_a_context_are_named(shop, tmp_path):
    arguments = ("sample", "-w", shop, "-n", 5)
    realnvp(*arguments, "--context", "1", "-o", tmp_path / "bare.csv")
    realnvp(*arguments, "--context", " kind = 1", "-o", tmp_path / "named.csv")
    assert (tmp_path / "bare.csv").read_text() == (tmp_path / "named.csv").read_text()
    for context, expected in [
        ("knd=1", "expected the run's columns, 'kind', each once as name=value in --context; got 'knd': did you mean"),
        ("kind=1,size=2", "got 'size'"),
        ("kind=1,kind=2", "got 'kind' twice"),
        ("kind=1,2", "got '2'"),
        ("kind=red", "expected a number for 'kind' in --context; got 'red'"),
        ("kind=nan", "expected finite contexts"),
    ]:
        assert expected in refused(*arguments, "--context", context, "-o", tmp_path / "z.csv")


def test_every_column_of_a_context_is_named():
    from realnvp_jax.cli.sample import _named_values

    columns = {"temp": (), "city": ("Basel", "Bern, West"), "wind": ()}
    assert _named_values('wind=3,"city=Bern, West",temp=-1e1', columns) == [-10, 0, 1, 3]
    message = refusal(_named_values, "temp=1", {"temp": (), "wind": ()})
    assert "each of the run's columns, 'temp, wind', in --context; got none for 'wind': add 'wind=...'" in message


def test_a_picture_rounds_the_data_as_it_does_the_samples(monkeypatch, tmp_path):
    x = np.array([[0.3, 4.31], [0.2, 1.64]], np.float32)
    run = types.SimpleNamespace(
        flow=realnvp_jax.vector_flow(2),
        split=lambda name: types.SimpleNamespace(x=x),
        modelled_columns=lambda: ("size", "count"),
        grids=lambda: {"count": Grid(0.0, 1.0)},
    )
    drawn = []
    monkeypatch.setattr("realnvp_jax.plots.vectors.save_points", lambda *arguments: drawn.extend(arguments))
    _write(tmp_path / "x.png", run, 2, [np.zeros((2, 2))], None, "title", is_like_data=True)
    np.testing.assert_array_equal(drawn[0], np.array([[0.3, 4], [0.2, 2]], np.float32))
