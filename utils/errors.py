"""The errors that reach the user as one sentence."""


class InputError(ValueError):
    """Bad input: the message is one sentence naming the file or option, what is wrong, and what is right.

    Command-line programs print it on stderr and exit with status 2; no traceback.
    """


class RankError(InputError):
    """As `InputError`, found by one of several processes, while the others may not see it."""


class RunStopped(RuntimeError):  # noqa: N818
    """A long run ended before its time: the message is one sentence saying why and where its state is.

    Command-line programs print it on stderr and exit with status 1; no traceback.
    """


MEMORY_ADVICE = "make frames smaller with input.max_long_edge=640, or memory with memory.policy=restricted"
"""what helps where there is too little memory"""
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""what PyTorch's and the system's errors say of it"""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the host or an accelerator has too little memory."""
    by_type = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return by_type or (isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY))
