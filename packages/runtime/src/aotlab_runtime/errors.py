"""`InputError`, and texts of its messages."""

from pathlib import Path

MEMORY_FAILURES = ("failed to allocate memory", "bad_alloc", "bad allocation", "out of memory")
"""Parts of onnxruntime's messages if memory is exhausted; its errors have no class for it."""


class InputError(ValueError):
    """Unusable input, described in one sentence."""


def require(condition: object, message: str) -> None:
    """Raise `InputError` unless the condition holds."""
    if not condition:
        raise InputError(message)


def shorten(value: object, length: int = 60) -> str:
    """Return a value as text in one line of at most ``length`` characters."""
    return " ".join(str(value).split())[:length]


def translate_error(error: Exception, message: str) -> Exception:
    """Return an error of onnxruntime as `InputError` with a message or, if memory is exhausted, as `MemoryError`."""
    if isinstance(error, MemoryError) or any(text in str(error).lower() for text in MEMORY_FAILURES):
        return MemoryError(f"{message}: too little memory; give smaller frames, or stop other programs")
    return InputError(f"{message}: {describe_error(error)}")


def describe_error(error: Exception) -> str:
    """Return the message of another library's error in one line, with the name of its file."""
    if isinstance(error, OSError) and isinstance(error.filename, str | Path):
        return f"{Path(error.filename).name}: {error.strerror}"
    return f"missing {error}" if isinstance(error, KeyError) else shorten(str(error) or repr(error), 200)
