"""Values inside error messages."""


def quote(value: object, length: int = 60) -> str:
    """`value` as text in quotes on one line, cut to about `length` characters, so that a message stays one sentence."""
    quoted = repr(" ".join(str(value).split()))
    return quoted if len(quoted) <= length + 2 else f"{quoted[: length - 2]}...{quoted[-1]}"
