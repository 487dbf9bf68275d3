"""`realnvp interpolate`."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from realnvp_jax.analysis.run import open_run
from realnvp_jax.cli.interpolate import places_of_given
from tests.cli.helpers import realnvp, refused


@pytest.mark.slow
def test_interpolations_of_images(digits, tmp_path):
    run = open_run(digits)
    test = run.split("test").x
    np.savez(tmp_path / "four.npz", x=test[[3, 1, 4, 5]])
    printed = realnvp("interpolate", tmp_path / "four.npz", "-w", digits, "-n", 3, "-o", tmp_path / "pictures")
    assert "linear.png, spherical.png, manifold.png" in printed  # a flow of one scale has no fine scales
    for kind in ("linear", "spherical"):
        with Image.open(tmp_path / "pictures" / f"{kind}.png") as picture:
            canvas = np.asarray(picture)[-(3 * 66 + 2) :]  # below the title
        assert canvas.shape == (3 * 66 + 2, 3 * 66 + 2, 3)
        sides = [[tuple(canvas[66 * i + 30, 66 * j]) == (255, 140, 0) for j in range(4)] for i in range(3)]
        assert sides == [[True] * 4, [False] * 4, [True] * 4]
        canvas = canvas[..., 0]
        corners = [canvas[row : row + 64 : 8, column : column + 64 : 8] for row in (2, 134) for column in (2, 134)]
        np.testing.assert_array_equal(corners, np.round(test[[3, 1, 4, 5], ..., 0] * (255 / 16)))
    note = json.loads((tmp_path / "pictures.json").read_text())
    assert note["values"]["written"] == ["linear.png", "spherical.png", "manifold.png"]
    assert "which exists" in refused("interpolate", "-w", digits, "-o", tmp_path / "pictures")
    realnvp("interpolate", "-w", digits, "--points", 2, "--kind", "linear", "--from", "samples", "-n", 4)
    with Image.open(digits / "analysis" / "interpolate" / "linear.png") as picture:
        assert picture.size[0] == 4 * 66 + 2
        assert not (np.asarray(picture) == (255, 140, 0)).all(axis=-1).any()  # samples are not real
    for arguments, expected in [
        (["--kind", "scales"], "expected a flow of images with two scales or more for --kind scales"),
        (["--kind", "manifold", "--points", 2], "expected --points 4 for --kind manifold"),
        (["--from", "nowhere"], "expected a split, one of train, validation, test; got 'nowhere'"),
        ([tmp_path / "none.png"], "where there is no file"),
    ]:
        assert expected in refused("interpolate", "-w", digits, "-o", tmp_path / "others", *arguments)
    assert not (tmp_path / "others").exists()


def test_interpolations_of_vectors(moons, shop, tmp_path):
    printed = realnvp("interpolate", "-w", moons, "-n", 5, "-o", tmp_path / "tables.v1")
    assert "linear.csv, spherical.csv, manifold.csv" in printed
    with (tmp_path / "tables.v1" / "linear.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "place", "x", "y"]
    assert [(int(row["row"]), int(row["place"])) for row in rows[:6]] == [(0, i) for i in range(5)] + [(1, 0)]
    realnvp("interpolate", "-w", moons, "-n", 3, "--kind", "linear", "-o", tmp_path / "tables.v1", "--overwrite")
    assert len((tmp_path / "tables.v1" / "linear.csv").read_text().splitlines()) == 10
    assert len((tmp_path / "tables.v1" / "spherical.csv").read_text().splitlines()) == 26  # of the command before
    test = open_run(moons).split("test").x
    given = test[np.random.default_rng(0).permutation(len(test))[:4]]
    found = [[float(rows[i][name]) for name in ("x", "y")] for i in (0, 4, 20, 24)]
    np.testing.assert_allclose(found, given, rtol=1e-4, atol=1e-4)
    assert "expected an unconditional run" in refused("interpolate", "-w", shop, "-o", tmp_path / "x")
    shutil.copytree(moons, tmp_path / "run")  # as if the columns were called as ours are, and the data were gone
    saved = json.loads((moons / "data.json").read_text())
    (tmp_path / "run" / "data.json").write_text(json.dumps({**saved, "columns": ["row", "length, mm"]}))
    pd.DataFrame(given, columns=["row", "length, mm"])[["length, mm", "row"]].to_csv(tmp_path / "x.csv", index=False)
    realnvp("interpolate", tmp_path / "x.csv", "-w", tmp_path / "run", "-n", 5, "-o", tmp_path / "named")
    other = pd.read_csv(tmp_path / "named" / "linear.csv")
    assert list(other) == ["row_", "place", "row", "length, mm"]
    np.testing.assert_allclose(other.to_numpy(), pd.DataFrame(rows).astype(float), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "shape", "places"),
    [
        ("linear", (3, 3), [0, 2, 6, 8]),
        ("spherical", (1, 5), [0, 4]),
        ("manifold", (8, 8), [0, 2, 16, 18]),
        ("manifold", (5, 5), [0]),
        ("scales", (4, 4), [0, 4, 8, 12]),
    ],
)
def test_places_of_the_given_images(kind, shape, places):
    assert places_of_given(kind, *shape) == places
