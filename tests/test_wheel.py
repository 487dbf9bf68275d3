"""The wheel, installed in an environment of its own."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import realnvp_jax
from tests.helpers import ROOT


@pytest.mark.slow
def test_the_wheel_works_where_it_is_installed(tmp_path):
    """Its dependencies are those of this environment, by a path that comes after the packages of the new one."""

    def run(*command):
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    source = tmp_path / "source"  # a build in the checkout would leave files there, which a later build would take
    shutil.copytree(ROOT / "realnvp_jax", source / "realnvp_jax", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("realnvp_jax-*.whl")
    assert {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()} == {
        "realnvp_jax",
        f"realnvp_jax-{realnvp_jax.__version__}.dist-info",
    }

    run(sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "new")
    binaries = tmp_path / "new" / "bin"
    run(binaries / "pip", "install", "--no-deps", "--force-reinstall", wheel)
    packages = run(binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    with open(f"{packages}/dependencies.pth", "w") as paths:
        paths.write(sysconfig.get_path("purelib") + "\n")

    where = run(binaries / "python", "-c", "import realnvp_jax; print(realnvp_jax.__file__)")
    assert where.startswith(str(tmp_path / "new"))
    assert "train" in run(binaries / "realnvp", "--help")
    assert "cifar10" in run(binaries / "realnvp", "configs")
    load = "import realnvp_jax; print(realnvp_jax.load_pretrained('moons')[0].event_shape)"
    assert run(binaries / "python", "-c", load) == "(2,)\n"
