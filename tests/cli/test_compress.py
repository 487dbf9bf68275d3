"""`realnvp compress` and `realnvp decompress`."""

import json

import numpy as np
import pytest
from PIL import Image

from configs import folder as folder_config
from realnvp_jax.analysis.run import open_run
from realnvp_jax.runs.start import train
from tests.cli.helpers import realnvp, refused


@pytest.fixture(scope="module")
def compressed(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("compressed") / "digits.rnvp"
    return path, realnvp("compress", "-w", digits, "-n", 40, "--batch-size", 8, "-o", path)


def test_a_split_comes_back(digits, compressed, tmp_path):
    path, output = compressed
    assert f"compressed: {path}" in output
    values = json.loads(path.with_name(path.name + ".json").read_text())["values"]
    assert values["bytes"] == path.stat().st_size
    assert values["num"] == 40
    assert f"{values['bits_per_dim']:.4f}" in output
    output = realnvp("decompress", "-w", digits, path, "-o", tmp_path / "out")
    assert f"40 images: {tmp_path / 'out' / 'images.npy'}" in output
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "images.npy"), open_run(digits).split("test").x[:40])


@pytest.mark.parametrize("crop", ["none", pytest.param("random", marks=pytest.mark.slow)])
def test_pictures_come_back_under_their_names(crop, tmp_path):
    size, inside = (4, slice(None)) if crop == "none" else (6, slice(1, 5))
    rng = np.random.default_rng(0)
    for name in ("a.png", "more/b.PNG", "more/c.bmp"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size, size, 3)).astype(np.uint8)).save(tmp_path / "pictures" / name)
    config = folder_config.get_config()
    config.dataset.path = str(tmp_path / "pictures")
    config.dataset.crop = crop
    config.dataset.resize = 0 if crop == "none" else 6
    config.dataset.train, config.dataset.validation, config.dataset.test = "all[:1]", "all[1:2]", "all[2:]"
    config.model.event_shape = (4, 4, 3)
    config.model.num_scales = 1
    config.model.base_features = 2
    config.model.num_blocks = 1
    config.num_steps = 1
    config.batch_size = 1
    config.evaluate.num_samples = 2
    train(config, tmp_path / "run")
    realnvp("compress", "-w", tmp_path / "run", tmp_path / "pictures", "-o", tmp_path / "all.rnvp")
    realnvp("decompress", "-w", tmp_path / "run", tmp_path / "all.rnvp", "-o", tmp_path / "back")
    for old, new in (("a.png", "a.png"), ("more/b.PNG", "more/b.PNG"), ("more/c.bmp", "more/c.bmp.png")):
        with Image.open(tmp_path / "pictures" / old) as before, Image.open(tmp_path / "back" / new) as after:
            np.testing.assert_array_equal(np.asarray(before)[inside, inside], np.asarray(after))


def test_nothing_is_overwritten_and_nothing_wrong_is_written(digits, moons, compressed, tmp_path):
    path, _ = compressed
    assert "which exists: add --overwrite" in refused("compress", "-w", digits, "-o", path)
    assert "one of the extensions .rnvp" in refused("compress", "-w", digits, "-o", tmp_path / "out.zip")
    out = tmp_path / "out"
    damaged = tmp_path / "damaged.rnvp"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    damaged.write_bytes(content)
    assert "damaged or truncated" in refused("decompress", "-w", digits, damaged, "-o", out)
    assert "No such file" in refused("decompress", "-w", digits, tmp_path / "none.rnvp", "-o", out)
    assert "expected the flow that compressed the file" in refused("decompress", "-w", moons, path, "-o", out)
    message = refused("decompress", "-w", digits, "--step", 3, path, "-o", out)
    assert "expected the parameters that compressed the file" in message
    assert "no levels" in refused("compress", "-w", moons, "-o", tmp_path / "moons.rnvp")
    assert not out.exists()
