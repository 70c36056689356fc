"""The one exception family that a user's input can raise."""


class SplatsegError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence: what was found, what was expected, what to do. The command line
    shows it without a traceback and exits with `exit_code`; any other exception is a bug.
    """

    exit_code = 2


class NothingFound(SplatsegError):
    """The input is sound, but what it asks for is not there."""

    exit_code = 3
