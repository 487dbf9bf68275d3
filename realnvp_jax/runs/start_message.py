"""What a run prints before its first step."""

import sys
from collections.abc import Mapping

import jax

from realnvp_jax.data.images.labels import shown
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.text import shorten, split_names
from realnvp_jax.training.state import TrainState


def print_start(experiment: Experiment, shapes: TrainState) -> None:
    """Print the devices, the model and the data of a run.

    Args:
      experiment: the run.
      shapes: the shapes of its state.
    """
    splits = experiment.splits
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes.params["params"]))
    devices = jax.devices()
    print(f"devices: {len(devices)} x {devices[0].device_kind} ({devices[0].platform})")
    print(f"model: {experiment.flow}")
    print(f"parameters: {count:,} trainable")
    print(
        f"data: {experiment.config.dataset.name}, {len(splits.train):,} train, {len(splits.validation):,} validation, "
        f"{len(splits.test):,} test"
    )
    if splits.classes:
        print(f"conditional on {len(splits.classes)} classes: {shown(splits.classes)}")
    context = split_names(experiment.config.dataset.context) if not splits.classes else ()
    if context:
        categories = experiment.config.dataset.categories
        counts = {name: sum(column.startswith(f"{name}=") for column in categories) for name in context}
        described = (f"{name} ({count} categories)" if count else name for name, count in counts.items())
        print(f"conditional on: {shorten(', '.join(described), 300)[1:-1]}")
    for line in splits.notes:
        print(line)
    for line in describe_left_out(splits.left_out):
        print(line)
    sys.stdout.flush()  # initializing takes a while


def describe_left_out(left_out: Mapping[str, str], most: int = 10) -> list[str]:
    """Lines about files that could not be used.

    Args:
      left_out: name -> reason.
      most: the largest number of files to name.
    """
    if not left_out:
        return []
    lines = [f"files left out because they cannot be used: {len(left_out)}"]
    lines += [f"  {shorten(name)}: {reason}" for name, reason in list(left_out.items())[:most]]
    return lines if len(left_out) <= most else [*lines, "  ... and others; all are in split_files.json"]
