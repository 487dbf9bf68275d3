"""The files to be scored."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from realnvp_jax.analysis.anomalies import score_examples
from realnvp_jax.analysis.read import read_examples
from realnvp_jax.analysis.run import Run
from realnvp_jax.analysis.tables import context_cells, sample_columns
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.runs.run_data import RunData
from tests.analysis.runs import CONDITIONAL, GREY, PLANE, RGB, of_images, of_vectors, pixels, points
from tests.helpers import refusal

HINT = "--resize crops the centre and resizes"


# pictures


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of pictures of 4x4, in it one more with the same, and a text."""
    (tmp_path / "in" / "more").mkdir(parents=True)
    for i, name in enumerate(["b.png", "a.bmp", "c.TIFF", "more/d.png"]):
        Image.fromarray(pixels(4, 4, 3, seed=i)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "readme.txt").write_text("no picture")
    return tmp_path / "in"


def test_pictures_and_folders_are_read_in_the_order_of_their_names(pictures):
    examples, names = read_examples(RGB(), [str(pictures / "c.TIFF"), str(pictures)])
    assert names == [str(pictures / name) for name in ("c.TIFF", "a.bmp", "b.png", "c.TIFF", "more/d.png")]
    for image, seed in zip(examples.x, [2, 1, 0, 2, 3], strict=True):
        np.testing.assert_array_equal(image, pixels(4, 4, 3, seed=seed))
    assert examples.context is None
    assert read_examples(RGB(), [str(pictures)], split="more")[1] == [str(pictures / "more" / "d.png")]


def test_images_of_a_run_conditional_on_labels_have_their_labels(pictures, tmp_path):
    run = of_images(context="label", classes=("cat", "dog", "eel"))
    (pictures / "readme.txt").unlink()
    for i, name in enumerate(["dog/a.png", "cat/b.png", "dog/c.png"]):
        (tmp_path / "animals" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(4, 4, 3, seed=i)).save(tmp_path / "animals" / name)
    examples, names = read_examples(run, [str(tmp_path / "animals")])
    assert names == [str(tmp_path / "animals" / name) for name in ("cat/b.png", "dog/a.png", "dog/c.png")]
    np.testing.assert_array_equal(examples.context, np.eye(3)[[0, 1, 1]])
    run = of_images(context="label", classes=("1", "2", "7"))
    np.savez(tmp_path / "x.npz", x=pixels(4, 4, 4, 3), y=np.array([7, 1, 2, 7]))
    examples, _ = read_examples(run, [str(tmp_path / "x.npz")])
    np.testing.assert_array_equal(examples.x, pixels(4, 4, 4, 3))
    np.testing.assert_array_equal(examples.context, np.eye(3)[[2, 0, 1, 2]])
    message = refusal(read_examples, run, [str(pictures)])
    assert message.startswith(f"expected labels of the images in '{pictures}', for a run conditional on them; got 4")
    assert "expected labels of the run's classes, '1, 2, 7'" in refusal(read_examples, run, [str(tmp_path / "animals")])


@pytest.mark.parametrize("file_format", ["JPEG", "WebP"])
def test_formats_with_loss_are_read(tmp_path, file_format):
    Image.fromarray(np.full((4, 4, 3), 200, np.uint8)).save(tmp_path / f"a.{file_format}")
    assert np.abs(read_examples(RGB(), [str(tmp_path / f"a.{file_format}")])[0].x.astype(int) - 200).max() < 9


def test_pictures_of_another_size_are_resized_only_where_it_is_asked_for(tmp_path):
    x = pixels(10, 30, 3)
    Image.fromarray(x).save(tmp_path / "x.png")
    path = str(tmp_path / "x.png")
    message = refusal(read_examples, RGB(), [path])
    assert message == f"expected images of 4x4 pixels; got 10x30 in '{path}': {HINT}"
    examples, _ = read_examples(RGB(), [path], resize=True)
    np.testing.assert_array_equal(examples.x[0], Framing((4, 4, 3), "centre").frame(x))
    Image.fromarray(x[:4, :4, 0]).save(path)
    message = refusal(read_examples, RGB(), [path])
    assert f"got 4x4 in '{path}' with 1 channel(s) instead of 3: {HINT}, and converts colours" in message
    np.testing.assert_array_equal(read_examples(RGB(), [path], resize=True)[0].x[0], x[:4, :4, :1].repeat(3, axis=2))


def test_pictures_are_framed_as_the_run_framed_its_own(tmp_path):
    x = pixels(12, 20, 3)
    Image.fromarray(x).save(tmp_path / "x.png")
    paths = [str(tmp_path / "x.png")]
    for options in (
        {"crop": "centre", "resample": "interpolate"},
        {"crop": "2:10,0:8", "num_bits": 3},
        {"crop": "random", "resize": 6},
    ):
        run = of_images((4, 4, 3), 2 ** options.get("num_bits", 8), **options)
        expected = Framing((4, 4, 3), **options).frame(x)
        np.testing.assert_array_equal(read_examples(run, paths)[0].x[0], expected)
        resized = Framing((4, 4, 3), **{**options, "crop": "centre", "resize": 0}).frame(x)
        np.testing.assert_array_equal(read_examples(run, paths, resize=True)[0].x[0], resized)
    run = of_images(crop="2:14,0:8")
    assert "'x.png': 20x12 pixels do not contain" in refusal(read_examples, run, paths).replace(f"{tmp_path}/", "")


def test_bits_are_reduced_as_the_run_reduced_them(tmp_path):
    x = pixels(3, 4, 4, 3)
    Image.fromarray(x[0]).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", x)
    run = of_images(levels=32, num_bits=5)
    np.testing.assert_array_equal(read_examples(run, [str(tmp_path / "x.png")])[0].x, x[:1] >> 3)
    np.testing.assert_array_equal(read_examples(run, [str(tmp_path / "x.npy")])[0].x, x >> 3)


def test_runs_from_before_some_keys(pictures):
    run = of_images()
    config = run.config.copy_and_resolve_references().unlock()
    for key in ("crop", "resize", "resample", "num_bits", "path", "cache_dir"):
        del config.dataset[key]
    run = Run(run.workdir, config, run.flow, run.params, run.step, run.ema)
    for resize in (False, True):
        examples, _ = read_examples(run, [str(pictures / "a.bmp")], resize=resize)
        np.testing.assert_array_equal(examples.x[0], pixels(4, 4, 3, seed=1))


def test_what_is_no_picture_is_named(pictures, tmp_path, capsys):
    whole, whole_names = read_examples(RGB(), [str(pictures)])
    notes = pictures / "notes.png"
    notes.write_text("notes")
    message = refusal(read_examples, RGB(), [str(notes)])
    assert message == f"expected usable images; got '{notes}': not a picture"
    (pictures / "gone.jpg").symlink_to(pictures / "nowhere.jpg")
    examples, names = read_examples(RGB(), [str(pictures)])  # in a folder they are left out
    np.testing.assert_array_equal(examples.x, whole.x)
    assert names == whole_names
    assert capsys.readouterr().err.splitlines() == [
        f"warning: left out '{pictures}/gone.jpg': No such file or directory",
        f"warning: left out '{notes}': not a picture",
    ]
    only = tmp_path / "only"
    only.mkdir()
    (only / "notes.png").write_text("notes")
    assert "expected usable images; got none in" in refusal(read_examples, RGB(), [str(only)])
    small = tmp_path / "small.png"
    Image.fromarray(pixels(3, 9, 3)).save(small)
    assert "small.png': 9x3 pixels, smaller than 4x4" in refusal(read_examples, RGB(), [str(small)], resize=True)
    for path, problem in [("in/readme.txt", "which is none of these"), ("x.png", "where there is no file")]:
        message = refusal(read_examples, RGB(), [str(tmp_path / path)])
        assert f"folders, .npz or .npy; got '{tmp_path / path}', {problem}" in message
    (tmp_path / "empty").mkdir()
    assert "got none, and 0 other files" in refusal(read_examples, RGB(), [str(tmp_path / "empty")])
    assert len(refusal(read_examples, RGB(), [str(tmp_path / ("x" * 200) / ("y" * 200))])) <= 400


def test_nothing_and_splits_that_are_not_there(pictures):
    assert refusal(read_examples, RGB(), []) == "expected files to score; got none"
    assert "as a split to score; got 'all[:10]'" in refusal(read_examples, RGB(), [str(pictures)], split="all[:10]")
    assert "one of its subfolders ('more')" in refusal(read_examples, RGB(), [str(pictures)], split="test")
    message = refusal(read_examples, RGB(), [str(pictures / "a.bmp")], split="test")
    assert message == "expected the split 'all' for single pictures; got 'test'"


@pytest.mark.parametrize(("shape", "levels"), [((8, 8, 1), 17), ((4, 4, 1), 2)])
def test_pictures_are_refused_by_a_run_of_few_levels(pictures, shape, levels):
    for path in (pictures, pictures / "a.bmp"):
        for resize in (False, True):
            message = refusal(read_examples, of_images(shape, levels), [str(path)], resize=resize)
            assert f"expected an .npz or .npy file of pixels in [0, {levels}), the run's levels; got '" in message
            assert "no dataset.num_bits says how to reduce them" in message


# arrays and tables


@pytest.mark.parametrize("shape", [(20, 8, 8), (20, 8, 8, 1)])
def test_arrays_are_read_as_they_are_in_their_own_order(tmp_path, shape):
    x = pixels(*shape, levels=17)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "one.npz", images=x, labels=np.arange(20))
    np.savez(tmp_path / "two.npz", train=x[:3], test=x)
    for name, split in [("x.npy", "all"), ("one.npz", "all"), ("one.npz", "images"), ("two.npz", "test")]:
        for resize in (False, True):
            examples, names = read_examples(GREY(), [str(tmp_path / name)], split=split, resize=resize)
            np.testing.assert_array_equal(examples.x, x.reshape(20, 8, 8, 1))
            assert names == [str(i) for i in range(20)]
    assert "'train, test', as a split; got 'all'" in refusal(read_examples, GREY(), [str(tmp_path / "two.npz")])


def test_arrays_that_do_not_fit_are_refused_or_resized(tmp_path):
    path = tmp_path / "x.npy"
    x = pixels(5, 6, 9, 3)
    np.save(path, x)
    assert refusal(read_examples, RGB(), [str(path)]) == f"expected images of 4x4 pixels; got 6x9 in 'x.npy': {HINT}"
    resized, _ = read_examples(RGB(), [str(path)], resize=True)
    np.testing.assert_array_equal(resized.x, [Framing((4, 4, 3), "centre").frame(image) for image in x])
    for resize in (False, True):
        message = refusal(read_examples, GREY(), [str(path)], resize=resize)
        assert "instead of 1: pixels of 17 levels cannot be resized" in message
    np.save(path, pixels(5, 4, 9, 2))
    assert "'x.npy': 2 channels, which cannot be converted to 3" in refusal(
        read_examples, RGB(), [str(path)], resize=True
    )
    np.save(path, pixels(5, 3, 9, 3))
    assert "'x.npy': 9x3 pixels, smaller" in refusal(read_examples, RGB(), [str(path)], resize=True)
    np.save(path, pixels(50, 8, 8))
    message = refusal(read_examples, GREY(), [str(path)])
    assert message == "expected pixels in [0, 17), the run's levels, in 'x.npy'; got values from 0 to 255"
    np.save(path, points(5, 4, 4, 3))
    assert "expected uint8 pixels in 'x.npy'; got 'float32'" in refusal(read_examples, RGB(), [str(path)])
    assert "alone; got 2 paths" in refusal(read_examples, RGB(), [str(path), str(path)])
    assert "where there is no file" in refusal(read_examples, RGB(), [str(tmp_path / "y.npy")])


def write_csv(path: Path, columns: str, values: np.ndarray) -> str:
    np.savetxt(path, values, delimiter=",", header=columns, comments="")
    return str(path)


def test_tables_are_read(tmp_path, capsys):
    values = points(6, 2)
    path = write_csv(tmp_path / "x.csv", "x,y", values)
    examples, names = read_examples(PLANE(), [path])
    np.testing.assert_allclose(examples.x, values)
    assert examples.x.dtype == np.float32
    assert examples.context is None
    assert names == ["0", "1", "2", "3", "4", "5"]
    assert capsys.readouterr().err == ""
    np.savez(tmp_path / "x.npz", values)
    np.testing.assert_array_equal(read_examples(PLANE(), [str(tmp_path / "x.npz")])[0].x, values)
    assert "columns of 'x.npz' are matched by position, since they or the run's have no" in capsys.readouterr().err
    one_row = write_csv(tmp_path / "x.csv", "y,x", values[:1])
    np.testing.assert_allclose(read_examples(PLANE(), [one_row])[0].x, values[:1, ::-1])
    assert np.isfinite(score_examples(PLANE(), examples, examples).log_prob).all()


def test_the_context_is_found_by_name(tmp_path):
    values = points(6, 4)
    path = write_csv(tmp_path / "x.csv", "height,a,age,b", values)
    examples, _ = read_examples(CONDITIONAL(), [path])
    np.testing.assert_allclose(examples.x, values[:, [1, 3]])
    np.testing.assert_allclose(examples.context, values[:, [2, 0]])
    assert np.isfinite(score_examples(CONDITIONAL(), examples, examples).log_prob).all()
    path = write_csv(tmp_path / "x.csv", "size,a,age,b", values)
    message = refusal(read_examples, CONDITIONAL(), [path])
    assert message == ("expected the run's dataset.context, 'height', in 'x.csv'; got the columns 'size, a, age, b'")
    path = write_csv(tmp_path / "x.csv", "height,a,age", values[:, :3])
    message = refusal(read_examples, CONDITIONAL(), [path])
    assert message == "expected 2 columns besides those of dataset.context, as in training, in 'x.csv'; got 1"


def of_a_table(workdir: Path, columns: tuple[str, ...], context: str = "") -> Run:
    """An untrained run that was started with a table of these columns."""
    values = points(9, len(columns), seed=5)
    inside = [i for i, column in enumerate(columns) if column not in context.split(", ")]
    part = Examples(values[:, inside])
    workdir.mkdir(exist_ok=True)
    names = tuple(columns[i] for i in inside)
    RunData(workdir).write(Splits(part, part, part, columns=names, all_columns=columns))
    return dataclasses.replace(of_vectors(len(inside), context), workdir=workdir)


def test_samples_get_the_columns_of_their_context(tmp_path):
    columns = ("a", "city=Bern, West", "b", "city=Chur", "age")
    run = of_a_table(tmp_path / "run", columns, "age, city=Bern, West, city=Chur")
    run.config.dataset.context = "age,city"
    run.config.dataset.categories = ("city=Bern, West", "city=Chur")
    contexts = np.array([[30, 0, 1], [40, 1, 0]], np.float32)
    cells = context_cells(run, contexts)
    assert list(cells) == ["age", "city"]
    assert cells["age"].tolist() == [30, 40]
    assert cells["city"].tolist() == ["Chur", "Bern, West"]
    samples = points(2, 2)
    table = sample_columns(run, samples, cells)
    assert list(table) == ["a", "city", "b", "age"]
    np.testing.assert_array_equal(np.stack([table["a"], table["b"]], axis=1), samples)
    mixed = context_cells(run, np.array([[30, 0.5, 0.5]], np.float32))
    assert {name: values.tolist() for name, values in mixed.items()} == {
        "age": [30],
        "city=Bern, West": [0.5],
        "city=Chur": [0.5],
    }
    assert list(sample_columns(run, samples[:1], mixed)) == ["a", "b", "age", "city=Bern, West", "city=Chur"]
    assert list(sample_columns(run, samples, {})) == ["a", "b"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_columns_are_found_by_name_in_any_order(tmp_path, order, capsys):
    run = of_a_table(tmp_path / "run", ("b", "length, mm", "row"), "b")
    values = points(6, 3)
    frame = pd.DataFrame(values, columns=["b", "length, mm", "row"]).iloc[:, list(order)]
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", **{name: frame[name].to_numpy() for name in frame})
    for name in ("x.csv", "x.parquet", "x.npz"):
        examples, _ = read_examples(run, [str(tmp_path / name)])
        np.testing.assert_allclose(examples.x, values[:, 1:], rtol=1e-6)
        np.testing.assert_allclose(examples.context, values[:, :1], rtol=1e-6)
    assert capsys.readouterr().err == ""
    np.savez(tmp_path / "x.npz", values)
    np.testing.assert_array_equal(read_examples(run, [str(tmp_path / "x.npz")])[0].x, values[:, 1:])
    assert "matched by position" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "got"),
    [
        ("a,d,c", "no 'b' and also 'd'"),
        ("a,b,c,id", "also 'id'"),
        ("a,c", "no 'b'"),
        ("column 0,column 1,column 2,column 3", "no 'a, b, c' and also 'column 0, column 1, column 2, column 3'"),
    ],
)
def test_columns_that_are_not_the_runs_are_refused_by_name(tmp_path, columns, got):
    run = of_a_table(tmp_path / "run", ("a", "b", "c"))
    path = write_csv(tmp_path / "x.csv", columns, points(6, columns.count(",") + 1))
    message = refusal(read_examples, run, [path])
    assert message.startswith(f"expected the run's columns 'a, b, c' in 'x.csv', in any order; got {got}: ")


def test_a_run_whose_columns_have_no_names_takes_them_by_position(tmp_path, capsys):
    run = of_a_table(tmp_path / "run", ("column 0", "column 1"))
    assert run.modelled_columns() == ("column 0", "column 1")
    values = points(6, 2)
    for columns, expected in [("a,b", values), ("column 1,column 0", values[:, ::-1])]:
        path = write_csv(tmp_path / "x.csv", columns, values)
        np.testing.assert_allclose(read_examples(run, [path])[0].x, expected)
        assert ("matched by position" in capsys.readouterr().err) == (columns == "a,b")


def test_tables_that_do_not_fit_are_refused(tmp_path):
    path = write_csv(tmp_path / "x.csv", "x,y,z", points(6, 3))
    assert "expected the run's columns 'x, y' in 'x.csv', in any order; got also 'z'" in refusal(
        read_examples, PLANE(), [path]
    )
    for keywords, got in [
        ({"paths": [path, path]}, "2 paths"),
        ({"split": "test"}, "the split 'test'"),
        ({"resize": True}, "--resize"),
    ]:
        message = refusal(lambda options: read_examples(PLANE(), **options), {"paths": [path], **keywords})
        assert message == f"expected one table, .csv, .tsv, .txt, .parquet or .npz, for a flow of vectors; got {got}"
    assert "got 'x.png'" in refusal(read_examples, PLANE(), ["x.png"])
    path = write_csv(tmp_path / "x.csv", "x,y", np.array([[1, np.nan], [2, 3]]))
    assert refusal(read_examples, PLANE(), [path]) == (
        "expected a value in every cell of 'x.csv'; got none in 1 of 2 rows, the first in line 2, column 'y': "
        "correct the file, whose columns must be those that the run was trained on"
    )
    (tmp_path / "x.csv").write_text("x,y\n1,2\n3,four\n")
    assert refusal(read_examples, PLANE(), [path]) == (
        "expected numbers in column 'y' of 'x.csv'; got 'four' in line 3: "
        "correct the file, whose columns must be those that the run was trained on"
    )
