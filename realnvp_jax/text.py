"""Text helpers: values and errors in messages, and lists of names in configs."""

import csv


def shorten(value: object, length: int = 60) -> str:
    """`value` as text in quotes on one line, cut to about `length` characters, so that a message stays one sentence."""
    quoted = repr(" ".join(str(value).split()))
    return quoted if len(quoted) <= length + 2 else f"{quoted[: length - 2]}...{quoted[-1]}"


def plus_minus(mean: float, standard_error: float | None) -> str:
    """A mean with its standard error, or alone if there is no error."""
    return f"{mean:.3f}" if standard_error is None else f"{mean:.3f} +- {standard_error:.3f}"


def describe_error(error: Exception) -> str:
    """The type and the text of an error on one line, cut to about 150 characters."""
    text = " ".join(str(error).split())
    text = text if len(text) <= 150 else f"{text[:147]}..."
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def split_names(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names in a text, separated by commas, with quotes around a name that contains one, as in a CSV file.

    A tuple holds a name in each of its elements.
    """
    if not isinstance(text, str):
        return tuple(text)
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())
