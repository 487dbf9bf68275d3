"""Pictures of points."""

import numpy as np

from realnvp_jax.plots import vectors


def test_pictures_of_columns_of_very_different_scales(tmp_path):
    from PIL import Image

    from realnvp_jax.plots.vectors import save_points

    x = np.random.default_rng(0).standard_normal((500, 2)) * [1, 300]
    save_points(x, x, ("a", "b"), tmp_path / "far.png")
    save_points(x / [1, 600], x / [1, 600], ("a", "b"), tmp_path / "near.png")
    with Image.open(tmp_path / "far.png") as far, Image.open(tmp_path / "near.png") as near:
        (width, height), (near_width, near_height) = far.size, near.size
    assert width == near_width
    assert height < width < 4 * near_height < 4 * height


NAMES = ("cost_US$_per_$", "price ($)", "rate $%$")


def test_names_of_columns_are_drawn_as_they_are(tmp_path):
    x = np.random.default_rng(0).standard_normal((30, 3))
    vectors.save_points(x, x, NAMES, tmp_path / "points.png")
    assert (tmp_path / "points.png").stat().st_size > 5000
