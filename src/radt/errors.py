"""The one exception that a user is meant to read."""


class RadtError(Exception):
    """Bad input or a bad machine, told in one sentence that names the thing and the remedy.

    Every stage prints it without a traceback and exits with status 1 (`radt.stages.run`).
    """
