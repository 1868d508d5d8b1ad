"""What goes wrong in the harness, in words for a contributor."""


class HarnessError(Exception):
    """Something that should have worked did not."""


class MissingError(HarnessError):
    """Something is not on this machine; the text says what to install or run."""


class BusyError(HarnessError):
    """Somebody else uses what should end."""
