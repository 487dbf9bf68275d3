"""The test result of a run: result.json, and the line that reports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realnvp_jax.runs.files import read_json
from realnvp_jax.text import describe_error, plus_minus, shorten


def read_result(path: Path) -> dict[str, Any]:
    """The contents of a result.json.

    Raises:
      ValueError: the file is damaged.
    """
    remedy = "start the run again, to evaluate it again"
    result = read_json(path, remedy)
    try:
        describe_result(result)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"expected a test result in {shorten(path, 150)}; got a damaged one ({describe_error(error)}): {remedy}"
        ) from None
    return result


def describe_result(result: dict[str, Any]) -> str:
    """The line that reports the test result."""
    which = f"step {result['step']} of {result['num_steps']} by validation"
    lost = f", the better step {result['lost_best']['step']} is lost" if "lost_best" in result else ""
    average = ", averaged parameters" if result["ema"] else ""
    num = result.get("num_importance_samples", 1)
    bound = f", {num} importance samples" if num > 1 else ""
    mass = ""
    if "dequantized" in result:
        columns, least = result["dequantized"]["columns"], result["dequantized"]["log_mass_bound"]
        mass = (
            f"; without the noise on {shorten(', '.join(columns), 60)}, using the probability of its values: "
            f"at least {least:.3f} nats"
        )
    return (
        f"test: {plus_minus(result['mean'], result['standard_error'])} {result['unit']} "
        f"({result['num_examples']} examples, {which}{lost}{average}{bound}){mass}"
    )


def picture_title(workdir: Path, step: int, result: Mapping[str, Any] | None = None) -> str:
    """The title of a run's picture: the workdir's name, the step, and the test result if it belongs to that step."""
    name = workdir.resolve().name
    title = f"{name if len(name) <= 40 else name[:39] + '…'}, step {step:,}"
    if result is None or result["step"] != step:
        return title
    return f"{title}: {plus_minus(result['mean'], result['standard_error'])} {result['unit']}".replace("+-", "±")
