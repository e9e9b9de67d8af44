"""The one exception that users read, and how text from outside is shown to them."""

SHOWN = 200
"""Most characters of another library's error that a sentence repeats."""


class RadtError(Exception):
    """Bad input or a bad machine, told in one sentence that names the thing and the remedy.

    Every stage prints it without a traceback and exits with status 1 (`radt.stages.run`).
    """


def printable(text: str) -> str:
    """A text as one line that a terminal can show; control characters are escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def said(error: Exception) -> str:
    """The first line of another library's error, to repeat it in a sentence."""
    return next(iter(str(error).strip().splitlines()), "")[:SHOWN] or type(error).__name__
