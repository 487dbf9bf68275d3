"""Published folders on the Hugging Face Hub, by huggingface_hub (the extra "hub"); it keeps what it has downloaded."""

import importlib.util
import re
from pathlib import Path

from realnvp_jax.text import describe_error, shorten

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(.+))?")
_FILES = ["config.json", "model*.safetensors"]


def is_on_hub(path: object) -> bool:
    """Whether a path is an address on the Hub, hf://..."""
    return isinstance(path, str) and path.startswith("hf://")


def download(address: str) -> Path:
    """The folder with the flow and the parameters at an address, hf://owner/name or hf://owner/name@revision.

    Raises:
      ValueError: the address is not of this form, huggingface_hub is not installed, or nothing can be downloaded.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"expected hf://owner/name or hf://owner/name@revision; got {shorten(address, 100)}")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError(
            f"expected huggingface_hub for {shorten(address, 100)}; got none: pip install 'realnvp-jax[hub]'"
        )
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(match[1], revision=match[2], allow_patterns=_FILES))
    except Exception as error:  # of the network, of the Hub, or of the disk
        raise ValueError(
            f"expected a published flow at {shorten(address, 100)}; got {describe_error(error)}"
        ) from error
    if not (folder / _FILES[0]).is_file():
        raise ValueError(f"expected a published flow at {shorten(address, 100)}; got a repository without config.json")
    return folder
