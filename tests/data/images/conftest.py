from pathlib import Path

import pytest


@pytest.fixture
def manual_dir(tmp_path, monkeypatch) -> Path:
    """A directory of original files; no host answers."""
    from realnvp_jax.data.images import prepare

    def nobody(*arguments, **keywords):
        raise OSError("no network")

    monkeypatch.setattr(prepare.urllib.request, "urlopen", nobody)
    directory = tmp_path / "originals"
    directory.mkdir()
    return directory
