"""The one error for what a user can mend."""


class InputError(ValueError):
    """Bad input: the message is one sentence naming the file or option, what is wrong, and what is right.

    Command-line programs print it on stderr and exit with status 2; no traceback.
    """
