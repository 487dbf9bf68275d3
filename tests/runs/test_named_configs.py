"""Configs by name, and files of one's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from realnvp_jax.configs import default
from realnvp_jax.runs.named_configs import documentation, find_config, get_config, shipped
from tests.helpers import refusal

CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_shipped_config_loads_and_says_what_it_is():
    named = shipped()
    assert set(named) == {path.stem for path in CONFIGS.glob("*.py")} - {"__init__", "default"}
    for name, path in named.items():
        config = get_config(f"{name}:tower" if name == "lsun64" else name)
        assert set(default.KEYS) <= set(config_keys(config))
        first, expected = documentation(path)
        assert first.endswith((".", ":bedroom"))
        assert expected == "" or expected.startswith("Expected")
    assert documentation(named["digits"])[1] == "Expected: 2.05 bits/dim on the test split."
    assert documentation(named["cifar10"]) == (
        "The paper's CIFAR-10 model and training.",
        "Expected: 3.49 bits/dim on the test set (the paper).",
    )


def config_keys(config, prefix=""):
    for key, value in config.items():
        if hasattr(value, "items"):
            yield from config_keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_a_name_a_path_and_an_argument():
    assert get_config("digits") == get_config(CONFIGS / "digits.py")
    circles = find_config("toy2d:circles")
    assert circles.run_name == "toy2d_circles"
    assert circles.load().dataset.name == "circles"


def test_a_file_of_ones_own_in_a_directory_with_a_colon(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    file = folder / "mine.py"
    file.write_text("def get_config(name='digits'):\n    return {'dataset': {'name': name}, 'num_steps': 3}\n")
    assert get_config(file).num_steps == 3
    assert get_config(file).batch_size == 64
    assert get_config(f"{file}:shapes").dataset.name == "shapes"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "which has none"),
        ("def get_config():\n    return 3", "expected a ConfigDict or a dict from the config mine.py; got int"),
        ("def get_config(name):\n    return {}", "expected mine:NAME, since get_config() of 'mine.py' needs"),
        ("def get_config():\n    return {'sead': 1}", "got 'sead': did you mean 'seed'?"),
        (
            "from realnvp_jax.configs import digits\ndef get_config():\n    c = digits.get_config()\n    c.sead = 1\n",
            "expected 'mine.py' to set keys that exist; got 'sead': did you mean 'seed'?",
        ),
        ("def get_config():\n    pass", "expected get_config() of 'mine.py' to return a config; got no return"),
        ("def get_config():\n    return {}['x']", "which failed in line 2: KeyError: 'x'"),
        ("def get_config(:", "which failed: SyntaxError"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path, source, message):
    file = tmp_path / "mine.py"
    file.write_text(source)
    text = refusal(get_config, file)
    assert message in text
    assert len(text) <= 500


def test_unknown_names_are_refused_with_the_nearest():
    assert "got 'digit', which is neither: did you mean 'digits'?" in refusal(get_config, "digit")
    assert "expected 'digits.py' without an argument" in refusal(get_config, "digits:foo")


def test_the_package_finds_its_configs_from_any_directory(tmp_path):
    code = "import realnvp_jax; print(realnvp_jax.get_config('digits').num_steps)"
    path = str(Path(__file__).parents[2])
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == ["2400"]
