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


def test_a_title_is_written_above_the_grid_and_frames_around_images(tmp_path):
    from PIL import Image

    images = np.zeros((4, 8, 8, 1), np.uint8)
    save_image_grid(images, 17, tmp_path / "bare.png", framed=[1])
    bare = np.asarray(Image.open(tmp_path / "bare.png"))
    is_frame = (bare == (255, 140, 0)).all(axis=-1)
    assert is_frame[:68, 66].all()
    assert is_frame[:68, 132].all()
    assert is_frame[0, 66:].all()
    assert is_frame.sum() == 68**2 - 64**2
    for title, lines in (("digits", 1), ("digits, step 2,400: 2.055 ± 0.022 bits/dim", 2), ("x" * 200, 1)):
        save_image_grid(images, 17, tmp_path / "titled.png", framed=[1], title=title)
        titled = np.asarray(Image.open(tmp_path / "titled.png"))
        assert titled.shape[0] == 16 * lines + bare.shape[0]
        np.testing.assert_array_equal(titled[16 * lines :], bare)
        assert (titled[: 16 * lines] < 128).any()
