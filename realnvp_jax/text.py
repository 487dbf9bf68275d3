"""Text helpers: values and errors in messages, and lists of names in configs."""

import csv
import errno
import os
import re

_KEPT = "then start the same command again: what was saved is kept"
_REMEDIES = {
    errno.ENOSPC: f"free some space on its disk, {_KEPT}",
    errno.EDQUOT: f"free some space within the quota, {_KEPT}",
    errno.EACCES: f"give yourself the right to it or choose another place, {_KEPT}",
    errno.EPERM: f"give yourself the right to it or choose another place, {_KEPT}",
    errno.EROFS: "choose a place that can be written, for example another --workdir",
    errno.ENAMETOOLONG: "choose a shorter name",
}


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


def os_error_number(error: Exception) -> int | None:
    """The errno of an error of the operating system, or the one that the text of another error gives; None without."""
    number = getattr(error, "errno", None)
    if number is not None:
        return number
    code = re.search(r"\[os_error_code='(\d+)'\]", str(error))  # as TensorStore writes it, below Orbax
    if code is not None:
        return int(code[1])
    return next((code for code in _REMEDIES if os.strerror(code) in str(error)), None)


def describe_os_error(error: Exception, path: object = None) -> str:
    """One sentence about a file that cannot be read or written: which, why, and what to do.

    Args:
      error: the error, whose reason is its `os_error_number`.
      path: the file or directory; None for the one that the error names.
    """
    number = os_error_number(error)
    path = path or getattr(error, "filename", None)
    if path is None:
        return " ".join(str(error).split())
    if number is None:
        return f"expected a file or directory that can be read and written; got {shorten(path, 150)}, " + (
            f"which failed with {describe_error(error)}"
        )
    remedy = f": {_REMEDIES[number]}" if number in _REMEDIES else ""
    return f"expected a file or directory that can be read and written; got {os.strerror(number)!r} for " + (
        f"{shorten(path, 150)}{remedy}"
    )


def sentence(error: Exception) -> str:
    """What to print about an error: its own sentence if it is one about bad input or a file, else its type and text."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    return str(error) if isinstance(error, ValueError | TypeError) else describe_error(error)


def split_names(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names in a text, separated by commas, with quotes around a name that contains one, as in a CSV file.

    A tuple holds a name in each of its elements.
    """
    if not isinstance(text, str):
        return tuple(text)
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())
