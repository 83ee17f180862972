"""The errors that reach the user as one sentence."""


class InputError(ValueError):
    """Bad input: the message is one sentence naming the file or option, what is wrong, and what is right.

    Command-line programs print it on stderr and exit with status 2; no traceback.
    """


class RunStopped(RuntimeError):  # noqa: N818
    """A long run ended before its time: the message is one sentence saying why and where its state is.

    Command-line programs print it on stderr and exit with status 1; no traceback.
    """
