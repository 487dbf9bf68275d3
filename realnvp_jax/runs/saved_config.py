"""The config of the run in a workdir, config.json, and which of its keys may differ when the run is resumed."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from realnvp_jax.models.create import Config
from realnvp_jax.runs.config_keys import with_defaults
from realnvp_jax.runs.files import read_json
from realnvp_jax.text import shorten

_MAY_DIFFER = (
    "num_steps",
    "evaluate.",
    "checkpoint.",
    "dataset.data_dir",
    "dataset.manual_dir",
    "dataset.cache_dir",
    "dataset.strict",
    "dataset.allow_changed",
    "memory",
    "unroll",
    "profile",
    "tracker",
    "max_hours",
    "patience",
    "on_nonfinite",
    "steps_per_dispatch",
)
REMEDY = "put back a copy of it, or use another --workdir"


def read_config(workdir: Path, remedy: str = "put back a copy of it") -> Config:
    """The config of the run in a workdir.

    Args:
      workdir: the run's directory.
      remedy: what to do about a damaged config, for the message.

    Raises:
      ValueError: there is no run, or its config is damaged.
    """
    path = config_path(workdir)
    if not path.is_file():
        raise ValueError(f"expected the workdir of a run, with config.json; got {workdir}")
    content = read_json(path, remedy)
    if "format" in content and "model" not in content:
        raise ValueError(
            f"expected the workdir of a run; got {shorten(workdir, 150)}, a flow that save or publish wrote: use "
            "realnvp_jax.load, or another --workdir"
        )
    return with_defaults(ConfigDict(content))


def config_path(workdir: Path) -> Path:
    """The config, as JSON."""
    return workdir / "config.json"


def saved_event_shape(workdir: Path) -> tuple[int, ...] | None:
    """The shape of the data of the run in a directory, or None if there is no run.

    Raises:
      ValueError: the run's config is damaged.
    """
    return tuple(read_config(workdir, REMEDY)["model"]["event_shape"]) if config_path(workdir).is_file() else None


def saved_classes(workdir: Path) -> tuple[str, ...]:
    """The names of the classes of the run in a directory, () if there is no run or it has none.

    Raises:
      ValueError: the run's config is damaged.
    """
    return tuple(read_config(workdir, REMEDY)["dataset"].get("classes", ())) if config_path(workdir).is_file() else ()


def saved_categories(workdir: Path) -> tuple[str, ...] | None:
    """The one-hot columns of the context of the run in a directory; None if there is no run.

    Raises:
      ValueError: the run's config is damaged.
    """
    if not config_path(workdir).is_file():
        return None
    return tuple(read_config(workdir, REMEDY)["dataset"].get("categories", ()))


def flatten(config: Config) -> dict[str, Any]:
    """{"dataset.name": ...}: every key in dotted form. Tuples become lists, as in JSON."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
        else:
            flat[key] = _lists(value)
    return flat


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, (tuple, list)) else value


def check_same_run(saved: Config, config: Config, workdir: Path, may_differ: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless two configs differ only in keys that may change while a run is interrupted.

    Args:
      saved: the config that the run was started with.
      config: the config to resume the run with.
      workdir: the run's directory, for the message.
      may_differ: prefixes of further keys that may differ.
    """
    before, now = flatten(saved), flatten(config)
    keys = sorted(set(before) | set(now))
    changed = [k for k in keys if before.get(k) != now.get(k) and not k.startswith(_MAY_DIFFER + may_differ)]
    if changed:
        shown = [f"{k} was {_short(before.get(k))}, now {_short(now.get(k))}" for k in changed[:3]]
        more = f"; also {', '.join(changed[3:])}" if len(changed) > 3 else ""
        raise ValueError(
            f"expected the config of the run in {workdir}; {'; '.join(shown)}{more}: "
            "use another --workdir, or the run's own values"
        )


def _short(value: Any) -> str:
    """A config value for a message, shortened since there may be many names of classes."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
