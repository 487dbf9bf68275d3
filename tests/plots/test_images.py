"""Grids of images."""

import numpy as np

from realnvp_jax.plots.images import save_image_grid


def test_a_sample_grid_shows_the_pixels(tmp_path):
    from PIL import Image

    images = np.zeros((5, 8, 8, 1), np.uint8)
    images[4] = 16
    save_image_grid(images, 17, tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    assert (grid[2:66, 2:66] == 0).all()
    assert (grid[68:132, 68:132] == 255).all()
