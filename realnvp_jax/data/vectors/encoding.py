"""Encode table columns of any type as numbers: categories become one-hot columns, text and dates are refused.

A column of the context whose values are text, categories or booleans becomes one column per category, named
"column=category", which is 1 in the rows of this category and 0 elsewhere.
"""

import datetime
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from realnvp_jax.data.vectors.csv_tables import place_of_row
from realnvp_jax.text import shorten

_MOST_CATEGORIES = 1000
_MOSTLY = 0.9  # with this share of numbers, a text column counts as numbers with mistakes
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b|\d{1,2}:\d{2}\b|\d.*\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|"
    r"nov|dec)|\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\W+\d",
    re.IGNORECASE,
)


class ColumnError(ValueError):
    """A column of a table cannot be used. `problem` is the message without the advice, which is for training."""

    def __init__(self, problem: str, advice: str):
        super().__init__(f"{problem}: {advice}")
        self.problem = problem


def find_categories(frame: Any, path: Path) -> tuple[str, ...]:
    """The one-hot columns for the categorical columns of a pandas DataFrame, alphabetical within each column.

    Raises:
      ValueError: a column has only one category, too many categories, or dates; or names are ambiguous.
    """
    found: list[str] = []
    names = list(frame.columns)
    for name, series in frame.items():
        other = next((other for other in names if other.startswith(f"{name}=")), None)
        if other is not None:
            raise ValueError(
                f"expected names in dataset.context that cannot be confused with categories; got {shorten(name)} "
                f"and {shorten(other)} in {shorten(path.name)}: rename one of them"
            )
        if not (_is_boolean(series) or _is_categorical(series) or _numbers(series, name, path) is None):
            continue
        if not _is_boolean(series) and not _is_categorical(series) and _is_mostly_numbers(series):
            raise _text_error(series, name, path, is_context=False)
        categories = sorted(set(_category_names(series, name, path)[series.notna().to_numpy()].tolist()))
        if not 2 <= len(categories) <= _MOST_CATEGORIES:
            raise ValueError(
                f"expected 2 to {_MOST_CATEGORIES:,} categories in column {shorten(name)} of {shorten(path.name)}, for "
                f"dataset.context; got {len(categories):,}: leave the column out of dataset.context"
            )
        found += [f"{name}={category}" for category in categories]
    return tuple(found)


def encode(
    frame: Any, path: Path, context: Sequence[str] = (), categories: Sequence[str] = ()
) -> tuple[tuple[str, ...], Float64[np.ndarray, "n D"], Bool[np.ndarray, "n C"]]:
    """The columns of a pandas DataFrame as numbers; integers and booleans become floats.

    Args:
      frame: the table, with distinct column names.
      path: its file, for messages.
      context: names of the columns that the density is conditioned on.
      categories: the one-hot columns of the categorical columns among them.

    Returns:
      (names of the columns, values, which values of the table's own C columns are missing). Missing values are NaN.

    Raises:
      ValueError: a column has text or dates, or a category that is not in `categories`.
    """
    names: list[str] = []
    parts: list[np.ndarray] = []
    missing = np.zeros(frame.shape, bool)
    for i, (name, series) in enumerate(frame.items()):
        own = [column for column in categories if column.startswith(f"{name}=")] if name in context else []
        missing[:, i] = series.isna().to_numpy()
        if own:
            names += own
            parts += list(_one_hot(series, name, own, path, missing[:, i]))
            continue
        numbers = None if _is_categorical(series) else _numbers(series, name, path)
        if numbers is None:
            raise _text_error(series, name, path, is_context=name in context)
        names.append(name)
        parts.append(numbers)
    values = np.empty((len(frame), len(parts)))
    for i, part in enumerate(parts):
        values[:, i] = part
    return tuple(names), values, missing


def _numbers(series: Any, name: str, path: Path) -> np.ndarray | None:
    """The values of a column as float64, or None if they are text."""
    import pandas as pd

    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return series.to_numpy(np.float64)
    kinds = pd.api.types
    if kinds.is_datetime64_any_dtype(series.dtype) or kinds.is_timedelta64_dtype(series.dtype):
        raise _date_error(series, name, path)
    if kinds.is_numeric_dtype(series.dtype) and not kinds.is_complex_dtype(series.dtype):
        return series.to_numpy(np.float64, na_value=np.nan)
    if isinstance(_first(series), (datetime.date, datetime.time, datetime.timedelta, pd.Period)):
        raise _date_error(series, name, path)
    if _is_categorical(series):
        return None
    if kinds.is_object_dtype(series.dtype):
        series = series.map(_without_huge_integers(name, path))
    numbers: Any = pd.to_numeric(series, errors="coerce")
    if numbers.isna().sum() == series.isna().sum() and not kinds.is_complex_dtype(numbers.dtype):
        return numbers.to_numpy(np.float64, na_value=np.nan)
    return None


def _without_huge_integers(name: str, path: Path) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, int) and abs(value) > 10**300:
            raise ValueError(
                f"expected numbers that fit into float32, up to 3.4e38, in column {shorten(name)} of "
                f"{shorten(path.name)}; got one of {int(value.bit_length() * 0.30103) + 1} digits: "
                f"leave the column out with --config.dataset.drop={_quoted(name)}"
            )
        return value

    return check


def _one_hot(series: Any, name: str, own: Sequence[str], path: Path, missing: np.ndarray) -> np.ndarray:
    """float64 [categories, n]: NaN where the value is missing."""
    import pandas as pd

    known = [column[len(name) + 1 :] for column in own]
    texts = _category_names(series, name, path)
    numbers = pd.Index(known).get_indexer(pd.Index(texts))
    unknown = (numbers < 0) & ~missing
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"expected the categories that the run was started with, {shorten(', '.join(known), 100)}, in column "
            f"{shorten(name)} of {shorten(path.name)}; got {shorten(texts[row])} in {place_of_row(path, row)}"
        )
    encoded = (np.arange(len(own))[:, None] == numbers).astype(np.float64)
    encoded[:, missing] = np.nan
    return encoded


def _category_names(series: Any, name: str, path: Path) -> np.ndarray:
    """The values of a column as category names: text without surrounding spaces, whole numbers without decimals."""
    if not (_is_boolean(series) or _is_categorical(series)):
        sample = _sample(series)
        if _looks_like_dates(sample):
            raise _date_error(series, name, path)
    try:
        codes, values = series.factorize()
    except TypeError:  # lists, for example
        codes, values = np.zeros(len(series), int), [_first(series)]
    names = [_category_name(value, name, path) for value in values]
    return np.array([*names, ""], object)[codes]


def _category_name(value: Any, name: str, path: Path) -> str:
    if isinstance(value, (str, bool, np.bool_)):
        return str(value).strip()
    if isinstance(value, (int, float, np.number)):
        return str(int(value)) if float(value).is_integer() else str(value)
    raise ColumnError(
        f"expected numbers or text in column {shorten(name)} of {shorten(path.name)}; got {shorten(value)}",
        f"leave it out with --config.dataset.drop={_quoted(name)}",
    )


def _text_error(series: Any, name: str, path: Path, *, is_context: bool) -> ColumnError:
    """The error to raise for text where numbers are needed."""
    sample = _sample(series)
    if not _is_categorical(series) and _looks_like_dates(sample):
        return _date_error(series, name, path)
    is_text = _is_text(series)
    row = int(np.argmax(is_text))
    drop, key = f"leave the column out with --config.dataset.drop={_quoted(name)}", _quoted(name)
    if is_context:
        advice = f"they are categories, but the run's dataset.context has numbers here; {drop}"
    elif _is_mostly_numbers(series):
        advice = f"correct it, or {drop}"
    elif series[is_text].astype(str).nunique() > 0.5 * is_text.sum():  # mostly distinct texts, not categories
        advice = drop
    else:
        advice = f"{drop}, or condition on its categories with --config.dataset.context={key}"
    kind = "categories, such as " if _is_categorical(series) else ""
    return ColumnError(
        f"expected numbers in column {shorten(name)} of {shorten(path.name)}; "
        f"got {kind}{shorten(series.iloc[row])} in {place_of_row(path, row)}",
        advice,
    )


def _is_text(series: Any) -> Bool[np.ndarray, " n"]:
    """Which values are neither missing nor numbers."""
    import pandas as pd

    present = series.notna().to_numpy()
    if _is_categorical(series):
        return present
    numbers: Any = pd.to_numeric(series.astype(object), errors="coerce")
    return present & numbers.isna().to_numpy()


def _is_mostly_numbers(series: Any) -> bool:
    return bool(_is_text(series).sum() <= (1 - _MOSTLY) * series.notna().sum())


def _date_error(series: Any, name: str, path: Path) -> ColumnError:
    return ColumnError(
        f"expected numbers in column {shorten(name)} of {shorten(path.name)}; got dates or times such as "
        f"{shorten(_first(series), 40)}",
        f"leave the column out with --config.dataset.drop={_quoted(name)}, or convert it to a number, such as seconds "
        "since the first row",
    )


def _looks_like_dates(texts: Sequence[str]) -> bool:
    return bool(texts) and all(_DATE.search(text) and _is_date(text) for text in texts)


def _is_date(text: str) -> bool:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns about the order of days and months
        try:
            return pd.to_datetime(text) is not pd.NaT
        except (ValueError, TypeError, OverflowError):
            return False


def _sample(series: Any) -> list[str]:
    """Up to 20 of a column's first values that are text."""
    return [value.strip() for value in series.iloc[:1000] if isinstance(value, str)][:20]


def _is_boolean(series: Any) -> bool:
    import pandas as pd

    if pd.api.types.is_object_dtype(series.dtype):
        return all(isinstance(value, (bool, np.bool_)) for value in series.dropna())
    return pd.api.types.is_bool_dtype(series.dtype) and not _is_categorical(series)


def _is_categorical(series: Any) -> bool:
    import pandas as pd

    return isinstance(series.dtype, pd.CategoricalDtype)


def _first(series: Any) -> Any:
    """The first value that is not missing; None if all are."""
    return next(iter(series.dropna()), None)


def _quoted(name: str) -> str:
    """A column name, quoted for the shell, as the value of a config key that lists names."""
    text = shorten(name, 40)[1:-1]
    if "," in text or '"' in text:
        text = '"' + text.replace('"', '""') + '"'
    return text if re.fullmatch(r"[\w.-]+", text) else f"'{text}'"
