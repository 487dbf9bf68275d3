"""Keep compiled programs on disk, so that the second run of a program starts at once."""

import hashlib
import platform
import sys
import tempfile
from pathlib import Path

import jax
import platformdirs

from realnvp_jax.text import shorten

_MAX_BYTES = 2 * 2**30


def enable_compilation_cache() -> None:
    """Use JAX's persistent compilation cache in the user's cache directory.

    `train.py` and `realnvp` call this; call it in your own program for the same effect. A cache that has already been
    chosen, by JAX_COMPILATION_CACHE_DIR or jax.config, is used instead. JAX_ENABLE_COMPILATION_CACHE=false turns the
    cache off; it is also off, with a warning, if the directory cannot be written. Beyond 2 GiB, the least recently used
    programs are deleted.
    """
    if not jax.config.values["jax_enable_compilation_cache"]:
        return
    chosen = jax.config.values["jax_compilation_cache_dir"]
    directory = compilation_cache_dir() if chosen is None else Path(chosen)
    if "://" in str(chosen):  # a bucket
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x")
    except OSError as error:  # JAX would warn of every program
        print(
            f"warning: the compilation cache {shorten(directory, 150)} cannot be written ({error.strerror}), so "
            "programs are compiled again at every start: choose another with JAX_COMPILATION_CACHE_DIR",
            file=sys.stderr,
        )
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if chosen is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    if jax.config.values["jax_compilation_cache_max_size"] == -1:
        jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)


def compilation_cache_dir() -> Path:
    """A directory for this kind of processor: another kind with the same home must not run its compiled programs."""
    return platformdirs.user_cache_path("realnvp_jax") / "compiled" / hashlib.sha256(_processor()).hexdigest()[:12]


def _processor() -> bytes:
    """What identifies this kind of processor: its model and its instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().split(b"\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}".encode()
    names = (b"model name", b"flags", b"Features", b"CPU part")
    return b"\n".join(line for line in lines if line.startswith(names)) or platform.machine().encode()
