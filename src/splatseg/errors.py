"""The one exception family that a user's input can raise."""


class SplatsegError(Exception):
    """Something the user gave cannot be used.

    Its text is one sentence: what was found, what was expected, what to do. A remedy, and what was
    expected, name parameters in backticks (`masks`); the command line spells these as its flags
    (--masks), shows the sentence without a traceback and exits with `exit_code`. Any other
    exception is a bug.
    """

    exit_code = 2

    def __init__(self, found: str, *, expected: str | None = None, remedy: str | None = None):
        self.found, self.expected, self.remedy = found, expected, remedy
        parts = [found, f"expected {expected}" if expected else None, remedy]
        super().__init__("; ".join(part for part in parts if part))


class NothingFound(SplatsegError):
    """The input is sound, but what it asks for is not there."""

    exit_code = 3


def check_setting(name: str, value: object, is_valid: bool, expected: str) -> None:
    """Refuse the value of a setting that is not valid; NaN passes no comparison.

    Raises:
        SplatsegError: `is_valid` is False.
    """
    if not is_valid:
        raise SplatsegError(f"{name} is {value}", expected=expected)
