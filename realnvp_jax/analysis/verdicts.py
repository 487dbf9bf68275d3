"""Checks of a flow: a measured value, the bounds that it is held against, and a verdict."""

import dataclasses
import math
from typing import Literal

Verdict = Literal["green", "amber", "red", "none"]  # "none": the check does not apply
VERDICTS: tuple[Verdict, ...] = ("red", "amber", "green", "none")  # the most urgent first


@dataclasses.dataclass(frozen=True)
class Check:
    """A check and what it found.

    Attributes:
      name: what is checked, a few words.
      value: the measured value with its unit; "" if the check does not apply.
      bound: the bounds of the verdicts; "" if the check does not apply.
      verdict: green (within the bound), amber (worth a look), red (failed), or none (does not apply).
      sentence: what the check means, or why it does not apply.
      number: the measured value; None if the check does not apply or could not be computed.
      limit: the bound of green; None if there is no number to hold the value against.
      unit: the unit of both; "" for none.
    """

    name: str
    value: str
    bound: str
    verdict: Verdict
    sentence: str
    number: float | None = None
    limit: float | None = None
    unit: str = ""

    def as_numbers(self) -> dict[str, float | str | None]:
        """What to save in JSON: value, bound, unit and verdict. Values that JSON lacks, such as NaN, are None."""

        def finite(number: float | None) -> float | None:
            return float(number) if number is not None and math.isfinite(number) else None

        return {
            "value": finite(self.number),
            "bound": finite(self.limit),
            "unit": self.unit,
            "verdict": self.verdict,
        }


def at_most(name: str, value: float, green: float, red: float, sentence: str, unit: str = "") -> Check:
    """A check of a value that should be small: green up to `green`, red above `red`, also for NaN.

    With red = inf no number is red.
    """
    verdict = "green" if value <= green else "amber" if value <= red else "red"
    has_red = math.isfinite(red) and red != green
    bound = f"at most {_with_unit(green, unit)}" + (f"; red above {_short(red, unit)}" if has_red else "")
    return Check(name, _with_unit(value, unit), bound, verdict, sentence, value, green, unit)


def at_least(name: str, value: float, green: float, red: float, sentence: str, unit: str = "") -> Check:
    """A check of a value that should be large: green from `green`, red below `red`, also for NaN.

    With red = -inf no number is red.
    """
    verdict = "green" if value >= green else "amber" if value >= red else "red"
    has_red = math.isfinite(red) and red != green
    bound = f"at least {_with_unit(green, unit)}" + (f"; red below {_short(red, unit)}" if has_red else "")
    return Check(name, _with_unit(value, unit), bound, verdict, sentence, value, green, unit)


def does_not_apply(name: str, reason: str) -> Check:
    """A check that this flow or these data do not allow."""
    return Check(name, "", "", "none", reason)


def failed(name: str, error: str) -> Check:
    """A check that could not be made because the computation failed."""
    return Check(name, "could not be computed", "a finite result", "red", error)


def _with_unit(value: float, unit: str) -> str:
    return f"{_short(value, unit)} {'' if unit == '%' else unit}".rstrip()


def _short(value: float, unit: str) -> str:
    """Three significant digits, with a percent sign, but no other unit; small and large values as powers of ten."""
    text = f"{value:g}" if value == 0 or not math.isfinite(value) else f"{value:.3g}"
    if value and math.isfinite(value) and not 1e-3 <= abs(value) < 1e5:
        text = f"{value:.1e}"
    return f"{text}%" if unit == "%" else text
