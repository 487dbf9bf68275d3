"""`realnvp data`."""

from click.testing import CliRunner
from PIL import Image

from realnvp_jax.cli.data import main
from realnvp_jax.data.images.cache import list_cache


def test_the_data_command(three_splits, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    options = ["--cache-dir", str(tmp_path / "cache"), "--output", str(sheet)]
    runner = CliRunner()
    result = runner.invoke(main, [three_splits, *options])
    assert result.exit_code == 0, result.output
    for expected in ("5x4 pixels, 3 channel(s), 256 levels", "uniform over 256 levels", "20 images of train"):
        assert expected in result.output
    with Image.open(sheet) as picture:
        assert picture.size[0] > 100
    again = runner.invoke(main, [three_splits, *options])
    assert again.exit_code == 1
    assert "expected a new file in --output; got" in again.output
    (folder / "notes.png").write_text("notes")
    result = runner.invoke(main, [str(folder), *options, "--overwrite", "--size", "8", "--greyscale"])
    assert result.exit_code == 0, result.output
    assert "8x8 pixels (cropped and resized), 1 channel(s)" in result.output
    assert "left out of all: 'notes.png': not a picture" in result.output
    assert runner.invoke(main, ["digits", *options, "--overwrite"]).exit_code == 0
    for arguments, expected in [
        ([], "expected the name of a data set, a folder or a file; got none"),
        ([str(tmp_path / "x.npy")], "where there is no file"),
        ([str(folder), "--size", "64"], "smaller than 64x64"),
        ([str(folder), "--greyscale"], "expected --size with --greyscale"),
        (["digits", "--size", "16"], "expected a crop that fits into the images of digits; got 8x8"),
        (["digits", "--size", "0"], "Invalid value for '--size'"),
        (["digits", "--crop", "random"], "which is for training"),
        (["digits", "--output", str(tmp_path / "no" / "x.png")], "in an existing directory"),
    ]:
        result = runner.invoke(main, [*options, "--overwrite", *arguments])
        assert result.exit_code != 0
        assert expected in result.output
    result = runner.invoke(main, ["--cache", "--cache-dir", str(tmp_path / "cache")])
    assert "MB in 3 entries of" in result.output
    result = runner.invoke(main, ["--clear-cache", "--cache-dir", str(tmp_path / "cache")])
    assert "removed 3 entries" in result.output
    assert list_cache(tmp_path / "cache") == []
