"""Values inside error messages."""


def quote(value: object, length: int = 60) -> str:
    """`value` as text in quotes on one line, cut to `length` characters, so that a message stays one short sentence."""
    text = " ".join(str(value).split())
    return repr(text if len(text) <= length else text[: length - 3] + "...")
