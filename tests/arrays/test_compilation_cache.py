"""Where compiled programs are kept."""

import jax

from realnvp_jax import compilation_cache


def test_the_compilation_cache_is_on_unless_one_was_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache, "compilation_cache_dir", lambda: tmp_path / "of this processor")
    size = jax.config.values["jax_compilation_cache_max_size"]
    try:
        compilation_cache.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "of this processor")
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "chosen"))
        compilation_cache.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "chosen")
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        jax.config.update("jax_compilation_cache_max_size", size)


def test_the_compilation_cache_is_that_of_this_processor(monkeypatch):
    here = compilation_cache.compilation_cache_dir()
    assert here == compilation_cache.compilation_cache_dir()
    monkeypatch.setattr(compilation_cache, "_processor", lambda: b"another")
    assert compilation_cache.compilation_cache_dir() != here
