"""Where compiled programs are kept."""

import jax

from realnvp_jax import compilation_cache


def test_the_compilation_cache_is_on_unless_one_was_chosen_or_it_cannot_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compilation_cache, "compilation_cache_dir", lambda: tmp_path / "of this processor")
    size = jax.config.values["jax_compilation_cache_max_size"]
    jax.config.update("jax_enable_compilation_cache", True)
    try:
        compilation_cache.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "of this processor")
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "chosen"))
        compilation_cache.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "chosen")
        (tmp_path / "file").write_text("")
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "file"))
        compilation_cache.enable_compilation_cache()
        warning = capsys.readouterr().err
        assert warning.startswith("warning: the compilation cache ")
        assert warning.count("\n") == 1
        assert not jax.config.values["jax_enable_compilation_cache"]
    finally:
        jax.config.update("jax_enable_compilation_cache", False)
        jax.config.update("jax_compilation_cache_dir", None)
        jax.config.update("jax_compilation_cache_max_size", size)


def test_the_compilation_cache_is_that_of_this_processor(monkeypatch):
    here = compilation_cache.compilation_cache_dir()
    assert here == compilation_cache.compilation_cache_dir()
    monkeypatch.setattr(compilation_cache, "_processor", lambda: b"another")
    assert compilation_cache.compilation_cache_dir() != here
