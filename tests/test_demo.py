"""The page on which one drags latents: its numbers are the library's, and it can be used with every kind of input."""

import importlib.util
import json
import sys

import jax
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.analysis.latent_scales import latent_scales
from tests.browser import CHROMIUM, Page
from tests.helpers import ROOT, refusal

SPEC = importlib.util.spec_from_file_location("demo_build", ROOT / "docs" / "demo" / "build.py")
assert SPEC is not None
assert SPEC.loader is not None
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)

slow = pytest.mark.slow
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="neither Chromium nor Chrome is installed")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    path.write_text(build.page([]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def desktop(html, tmp_path_factory):
    with Page(html, tmp_path_factory.mktemp("desktop"), 1280, 900) as page:
        yield page


@pytest.fixture(scope="module")
def phone(html, tmp_path_factory):
    with Page(html, tmp_path_factory.mktemp("phone"), 390, 844, dark=True, touch=True) as page:
        yield page


def perturbed(flow, seed=0):
    """Parameters with which nothing is zero or the identity; variances stay positive."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, *flow.event_shape)) + flow.preprocessing.interior_point()
    params = flow.init(jax.random.key(0), x.astype(np.float32))

    def change(path, leaf):
        noise = rng.normal(size=leaf.shape).astype(np.float32)
        return leaf * np.exp(0.3 * noise) if path[-1].key == "variance" else leaf + 0.3 * noise

    return jax.tree_util.tree_map_with_path(change, jax.tree.map(np.float32, params))


def in_javascript(page, exported, x, z):
    """z, log_det; x, log_det; and log_prob, as `flow.js` computes them."""
    script = f"""(() => {{
        const flow = new Flow({json.dumps(exported)});
        const {{ z, logDet }} = flow.forward({x.ravel().tolist()});
        const back = flow.inverse({z.ravel().tolist()});
        return [z, logDet, back.x, back.logDet, flow.logProb({x.ravel().tolist()})].map((values) => [...values]);
    }})()"""
    return [np.array(values) for values in page.run(script)]


def check_numbers(page, flow, params, x, z):
    """They agree with the library's in double precision."""
    exported = build.export(flow, params)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    by_the_library = (*flow.forward(params, x), *flow.inverse(params, z), flow.log_prob(params, x))
    for theirs, ours in zip(by_the_library, in_javascript(page, exported, x, z), strict=True):
        np.testing.assert_allclose(ours, np.ravel(theirs), rtol=0, atol=1e-9)


@in_a_browser
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["moons", "checkerboard"])
def test_points_have_the_numbers_of_the_library(desktop, name):
    x, z = 1.5 * np.random.default_rng(0).normal(size=(2, 50, 2))
    check_numbers(desktop, *realnvp_jax.load_pretrained(name), x, z)


@in_a_browser
@pytest.mark.usefixtures("x64")
def test_digits_have_the_numbers_of_the_library(desktop):
    rng = np.random.default_rng(0)
    pixels = np.reshape(build.examples_of_digits()["pixels"], (20, 8, 8, 1))
    x = pixels + rng.uniform(size=pixels.shape)
    check_numbers(desktop, *realnvp_jax.load_pretrained("digits"), x, rng.normal(size=x.shape))


@in_a_browser
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "flow",
    [
        realnvp_jax.vector_flow(3, 3, (8,), normalization="batch_norm", activation="gelu"),
        pytest.param(realnvp_jax.image_flow((4, 4, 1), 1, 4, 1, normalization="none", per_channel=True), marks=slow),
        pytest.param(realnvp_jax.image_flow((4, 8, 2), 1, 4, 1, transform="spline"), marks=slow),
    ],
    ids=["vectors", "affine", "spline"],
)
def test_other_flows_have_the_numbers_of_the_library(desktop, flow):
    rng = np.random.default_rng(1)
    low, high = (-2, 2) if flow.levels is None else (1, flow.levels - 1)
    x = rng.uniform(low, high, size=(5, *flow.event_shape))
    check_numbers(desktop, flow, perturbed(flow), x, rng.normal(size=x.shape))


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (realnvp_jax.glow_flow((4, 4, 1), num_scales=1, num_steps=1), "RealNVP or Standardized; got Glow"),
        (realnvp_jax.vector_flow(2, mixing="lu"), "NoneType; got LearnedLinear"),
        (realnvp_jax.vector_flow(2, transform="additive"), "Affine or Spline; got Additive"),
        (realnvp_jax.vector_flow(2, masks="random"), "VectorHalves; got RandomHalves"),
        (realnvp_jax.vector_flow(2, normalization="act_norm"), "BatchNorm or NoNormalization; got ActNorm"),
        (realnvp_jax.vector_flow(2, base="logistic"), "Normal; got Logistic"),
        (realnvp_jax.vector_flow(2, scale_function="sigmoid"), "the scale function tanh; got sigmoid"),
        (realnvp_jax.vector_flow(2, context=3), "without a context; got one with a context of size 3"),
        (realnvp_jax.image_flow((4, 4, 1), conditioner="gained_resnet"), "ResNet; got GainedResNet"),
        (realnvp_jax.image_flow((4, 4, 1), masks="halves"), "Checkerboard; got ImageHalves"),
        (realnvp_jax.autoregressive_flow(2), "Normal; got Uniform"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_part_that_the_page_does_not_know_is_refused(flow, message):
    assert message in refusal(build.export, flow, {})


def test_the_command_with_a_run_of_ones_own(tmp_path, monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["build.py", *map(str, arguments)])
        build.main()

    monkeypatch.setattr(build, "PLANAR", ("moons",))
    for name, num_dims in (("mine", 2), ("other", 3)):
        flow = realnvp_jax.vector_flow(num_dims, 2, (4,))
        realnvp_jax.save(tmp_path / name, flow, flow.init(jax.random.key(0)))
    call(tmp_path / "out.html", tmp_path / "mine")
    assert " MB" in capsys.readouterr().out
    data = (tmp_path / "out.html").read_text(encoding="utf-8").split('id="flows">')[1].split("</script>")[0]
    assert list(json.loads(data)["planar"]) == ["mine", "moons"]
    with pytest.raises(SystemExit, match=r"Error: expected a flow on the plane in .*; got the event shape \(3,\)"):
        call(tmp_path / "none.html", tmp_path / "other")
    with pytest.raises(SystemExit, match="Error: expected"):
        call(tmp_path / "none.html", tmp_path / "nothing")
    assert not (tmp_path / "none.html").exists()


@in_a_browser
def test_the_page_requests_nothing_and_is_small(html, desktop, phone):
    assert html.stat().st_size < 1.5e6
    for page in (desktop, phone):
        assert page.requests == [html.as_uri()]
        assert page.problems == []
        assert page.run("document.documentElement.scrollWidth") <= page.run("innerWidth")  # nothing to scroll sideways


def place_of_the_point(page, side):
    """The point in a plane, in fractions of the picture."""
    return page.run(
        f"(([x, y]) => [x / demo.plane.{side}.width, y / demo.plane.{side}.height])"
        f"(demo.plane.toPixel('{side}', demo.plane.point.{side}))"
    )


def shown(page, selector):
    return float(page.run(f"document.querySelector('{selector}').textContent").replace("\N{MINUS SIGN}", "-"))


@in_a_browser
@pytest.mark.parametrize("side", ["latent", "data"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_dragging_a_point(request, tmp_path, device, side):
    page = request.getfixturevalue(device)
    page.run("demo.plane.choose('moons')")
    before = page.run("demo.plane.point")
    page.screenshot(tmp_path / "before.png")
    page.drag(f"#{side}-plane", place_of_the_point(page, side), (0.4, 0.6), touch=device == "phone")
    after = page.run("demo.plane.point")
    page.screenshot(tmp_path / "after.png")
    np.testing.assert_allclose(place_of_the_point(page, side), (0.4, 0.6), atol=0.02)
    assert (tmp_path / "before.png").read_bytes() != (tmp_path / "after.png").read_bytes()
    for plane in ("latent", "data"):
        assert np.linalg.norm(np.subtract(before[plane], after[plane])) > 0.1
    flow, params = realnvp_jax.load_pretrained("moons")
    z, _ = flow.forward(params, np.float32(after["data"]))
    np.testing.assert_allclose(z, after["latent"], atol=1e-4)
    log_prob = float(flow.log_prob(params, np.float32(after["data"])))
    assert abs(shown(page, "#plane-log-prob") - log_prob) < 1e-4 + 5e-5  # four decimals are shown


@in_a_browser
def test_a_finger_far_from_the_point_scrolls(phone):
    phone.run("demo.plane.choose('moons')")
    before = phone.run("demo.plane.point.latent")
    phone.drag("#latent-plane", (0.05, 0.95), (0.05, 0.2), touch=True)
    assert phone.run("demo.plane.point.latent") == before


@in_a_browser
def test_fewer_couplings_are_a_density_too(desktop):
    """With none it is a Gaussian with the mean and the spread of the data, and each coupling changes it."""
    desktop.run("demo.plane.choose('moons')")
    desktop.press("#layers", *6 * ["ArrowLeft"])
    assert desktop.run("demo.plane.count") == 0
    _, params = realnvp_jax.load_pretrained("moons")
    statistics = params["standardization"]["standardize"]["statistics"]
    x, z = (np.asarray(desktop.run(f"demo.plane.point.{side}")) for side in ("data", "latent"))
    np.testing.assert_allclose(x, statistics["mean"] + z * np.exp(statistics["log_std"]), atol=1e-5)
    expected = -0.5 * z @ z - np.log(2 * np.pi) - np.sum(statistics["log_std"])
    assert abs(shown(desktop, "#plane-log-prob") - expected) < 1e-4
    script = """[...Array(7).keys()].map((count) => {
        let total = 0;
        for (let x = -5; x < 5; x += 0.08) {
            const column = Array.from({ length: 125 }, (_, i) => [x, -5 + 0.08 * i]).flat();
            total += demo.plane.flow.logProb(column, count).reduce((sum, value) => sum + 0.0064 * Math.exp(value), 0);
        }
        return total;
    })"""
    np.testing.assert_allclose(desktop.run(script), 1, atol=0.01)
    places = []
    for _ in range(6):
        desktop.press("#layers", "ArrowRight")
        places.append(tuple(desktop.run("demo.plane.point.data")))
    assert len(set(places)) == 6


@in_a_browser
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_dragging_between_digits(request, tmp_path, device):
    page = request.getfixturevalue(device)
    start = page.run("demo.digits.place.map((u) => demo.digits.toPad(u) / demo.digits.pad.width)")
    before = page.run("[...demo.digits.x]")
    page.screenshot(tmp_path / "before.png")
    page.drag("#pad", start, (0.75, 0.7), touch=device == "phone")
    page.screenshot(tmp_path / "after.png")
    assert (tmp_path / "before.png").read_bytes() != (tmp_path / "after.png").read_bytes()
    x = np.array(page.run("[...demo.digits.x]"))
    assert np.abs(x - before).max() > 1
    flow, params = realnvp_jax.load_pretrained("digits")
    log_prob = float(flow.log_prob(params, x.reshape(8, 8, 1).astype(np.float32)))
    assert abs(shown(page, "#digit-log-prob") - log_prob) < 1e-4 + 5e-5
    assert abs(shown(page, "#digit-bits") + log_prob / (64 * np.log(2))) < 1e-3


@in_a_browser
def test_a_corner_is_its_digit(desktop):
    desktop.run("demo.digits.moveTo([1, 0])")
    pixels = desktop.run("[...demo.digits.x].map(Math.floor)")
    chosen = int(desktop.run("document.querySelector('#corner-2').value"))
    assert pixels == build.examples_of_digits()["pixels"][chosen]


@in_a_browser
def test_the_controls_of_the_latents(desktop):
    """Each kind of noise reaches the latents of its own scale; one latent can be dragged, or changed by keys."""
    desktop.run("demo.digits.moveTo([0.5, 0.5])")
    flow, _ = realnvp_jax.load_pretrained("digits")
    scales = np.array(desktop.run("[...demo.digits.scales]"))
    assert scales.tolist() == np.ravel(latent_scales(flow)).tolist()
    z = np.array(desktop.run("[...demo.digits.z]"))
    for name, scale in (("fine", 0), ("coarse", 1)):
        desktop.press(f"#{name}", *5 * ["ArrowRight"])
        changed = np.array(desktop.run("[...demo.digits.z]")) != z
        assert (changed == (scales == scale)).all()
        desktop.run("document.querySelector('#reset').click()")
        assert desktop.run("[...demo.digits.z]") == z.tolist()
    desktop.press("#temperature", "ArrowLeft")
    np.testing.assert_allclose(desktop.run("[...demo.digits.z]"), 0.95 * z)
    desktop.run("document.querySelector('#reset').click()")
    desktop.drag("#digit-latents", (0.3, 0.55), (0.3, 0.3))
    moved = np.array(desktop.run("[...demo.digits.z]")) - z
    assert np.flatnonzero(moved).tolist() == [4 * 8 + 2]
    assert moved.max() > 0.5
    desktop.run("document.querySelector('#reset').click()")
    desktop.press("#digit-latents", "ArrowRight", "+", "+", "-")
    moved = np.array(desktop.run("[...demo.digits.z]")) - z
    np.testing.assert_allclose(moved[np.flatnonzero(moved)], [0.2])
    assert np.flatnonzero(moved).tolist() == [4 * 8 + 3]
    desktop.run("document.querySelector('#reset').click()")
