"""Keep compiled programs on disk, so that the second run of a program starts at once."""

import hashlib
import platform
from pathlib import Path

import jax
import platformdirs

_MAX_BYTES = 2 * 2**30


def enable_compilation_cache() -> None:
    """Use JAX's persistent compilation cache in the user's cache directory.

    `train.py` and `realnvp` call this; call it in your own program for the same effect. A cache that has already been
    chosen, by JAX_COMPILATION_CACHE_DIR or jax.config, is left as it is. JAX_ENABLE_COMPILATION_CACHE=false turns the
    cache off; it is also off if the directory cannot be written. Beyond 2 GiB, the least recently used programs are
    deleted.
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
