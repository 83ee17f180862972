"""Errors shown to the user as one sentence."""


class InputError(ValueError):
    """Bad input. The message is one sentence: file or option, problem, remedy.

    Command-line programs print it on stderr and exit with status 2; no traceback.
    """


class RankError(InputError):
    """Bad input found by one rank, which the others may not see."""


class RunStopped(RuntimeError):  # noqa: N818
    """A long run stopped early. The message is one sentence with the reason and the place of its state.

    Command-line programs print it on stderr and exit with status 1; no traceback.
    """


MEMORY_ADVICE = "make frames smaller with input.max_long_edge=640, or memory with memory.policy=restricted"
"""advice for too little memory"""
NO_MEMORY = ("allocate memory", "not enough memory", "out of memory", "failed to map segment")
"""fragments of out-of-memory messages; the last one is that of libraries that cannot be loaded"""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that host or device memory ran out."""
    by_type = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    by_words = isinstance(error, RuntimeError | ImportError | OSError) and any(
        words in str(error) for words in NO_MEMORY
    )
    return by_type or by_words
