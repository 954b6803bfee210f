"""The two ways a command can end badly. Every message is one sentence: what was given, what was expected, what to do."""


class VidvtonError(Exception):
    """Work could not be done (exit code 1)."""


class MisuseError(VidvtonError):
    """The request itself is wrong: an unknown word, a size out of range, a file that is not there (exit code 2)."""
