"""Compiled programs are kept on disk, so that the second run of a program starts at once."""

import hashlib
import platform
from pathlib import Path

import jax
import platformdirs

_MAX_BYTES = 2 * 2**30


def enable_compilation_cache() -> None:
    """Use JAX's persistent compilation cache in the user's cache directory.

    The programs (`train.py`, `realnvp`) call this; in one's own program it is one line. A cache that has been chosen
    already, by JAX_COMPILATION_CACHE_DIR or jax.config, is left as it is. JAX_ENABLE_COMPILATION_CACHE=false turns it
    off, and where the directory cannot be written there is none. Beyond 2 GiB what was not used for longest is deleted.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    directory = compilation_cache_dir()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to: compile again
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    if jax.config.values["jax_compilation_cache_max_size"] == -1:
        jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)


def compilation_cache_dir() -> Path:
    """A directory for this kind of processor: compiled programs of one must not run on another that shares the home."""
    return platformdirs.user_cache_path("realnvp_jax") / "compiled" / hashlib.sha256(_processor()).hexdigest()[:12]


def _processor() -> bytes:
    """What tells this kind of processor from others: its model and its instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().split(b"\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}".encode()
    names = (b"model name", b"flags", b"Features", b"CPU part")
    return b"\n".join(line for line in lines if line.startswith(names)) or platform.machine().encode()
