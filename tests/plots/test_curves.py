"""Curves of metrics."""

from matplotlib.figure import Figure

from realnvp_jax.plots.curves import save_curves


def test_the_legend_hides_no_point_of_a_short_run(tmp_path, monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (save(figure, *a, **k), figures.append(figure)))
    rows = "".join(f"{step},{2 + (-1) ** step},{2 - (-1) ** step},2\n" for step in range(1, 6))
    (tmp_path / "metrics.csv").write_text("step,train,validation,validation_train_mode\n" + rows)
    save_curves(tmp_path / "metrics.csv", tmp_path / "curves.png", "nats", "run, step 5")
    (figure,) = figures
    (axes,), (legend,) = figure.axes, figure.legends
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert len(legend.get_texts()) == 3
    assert figure.get_suptitle() == "run, step 5"
