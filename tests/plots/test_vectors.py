"""Pictures of points."""

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import realnvp_jax
from realnvp_jax.plots import plane, vectors


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


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    return saved


def axis_names(axes):
    return axes.get_xlabel(), axes.get_ylabel()


def test_axes_have_the_names_of_columns(figures, tmp_path):
    x = np.random.default_rng(0).standard_normal((30, 3))
    vectors.save_points(x, x, NAMES, tmp_path / "corner.png", "run, step 5")
    vectors.save_points(x[:, :2], x[:, :2], NAMES[:2], tmp_path / "plane.png", "$a_b$")
    vectors.save_points(None, x[:, :2], NAMES[:2], tmp_path / "alone.png")
    corner, plane, alone = figures
    assert [corner.axes[6 + j].get_xlabel() for j in range(3)] == list(NAMES)
    assert [corner.axes[3 * i].get_ylabel() for i in (1, 2)] == list(NAMES[1:])
    assert [axes.get_title() for axes in plane.axes] == ["data", "samples"]
    assert [axis_names(axes) for axes in plane.axes] == [NAMES[:2]] * 2
    assert [axes.get_title() for axes in alone.axes] == ["samples"]
    assert [figure.get_suptitle() for figure in figures] == ["run, step 5", "$a_b$", ""]


def test_pictures_of_the_plane_name_their_axes(figures, tmp_path):
    flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(4,))
    params = flow.init(jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    grid = plane.density_on_grid(flow, params, [-6, -6], [6, 6], num=100)
    path = tmp_path / "picture.png"
    plane.save_density(grid, path, title="run, step 5")
    plane.save_density(grid, path, ("a", "b"))
    plane.save_latents(flow, params, x, path, "run, step 5")
    plane.save_warped_grid(flow, params, grid, path, title="run, step 5")
    names = [("x1", "x2"), ("a", "b"), ("z1", "z2"), ("x1", "x2")]
    assert [axis_names(figure.axes[0]) for figure in figures] == names
    assert figures[0].axes[0].get_title() == "density (integrates to 1.0000)"
    assert [figure.get_suptitle() for figure in figures] == ["run, step 5", "", "run, step 5", "run, step 5"]


def test_a_long_title_has_several_lines(figures, tmp_path):
    x = np.random.default_rng(0).standard_normal((30, 2))
    vectors.save_points(None, x, ("a", "b"), tmp_path / "x.png", "word " * 40)
    assert figures[0].get_suptitle().count("\n") >= 3


def test_a_base_that_is_not_normal_has_its_own_quantiles_and_no_circles(figures, tmp_path):
    class Laplace(realnvp_jax.Base):
        has_scale = True
        support = (-np.inf, np.inf)

        def log_density(self, z):
            return -abs(z) - np.log(2)

        def sample(self, key, shape):
            return jax.random.laplace(key, shape)

    quantiles = vectors.base_quantiles(Laplace(), np.array([0.01, 0.5, 0.99]))
    np.testing.assert_allclose(quantiles, [np.log(0.02), 0, -np.log(0.02)], atol=0.1)
    x = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    for base in ("normal", "logistic"):
        flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(4,), base=base)
        plane.save_latents(flow, flow.init(jax.random.key(0)), x, tmp_path / "picture.png")
    normal, logistic = (figure.axes[0] for figure in figures)
    assert (len(normal.lines), len(logistic.lines)) == (3, 0)
    assert logistic.get_title() == "latents, with the base Logistic()"
