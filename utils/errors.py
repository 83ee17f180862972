"""Errors shown to the user as one sentence: bad input, missing extras, early stops."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path

from aotlab.utils.text import join_truncated, shorten

SCORE_MODULES = ("cv2", "pycocotools", "tqdm")
EXTRAS = {
    "score": SCORE_MODULES,
    "video": (*SCORE_MODULES, "av"),
    "train": (*SCORE_MODULES, "scipy", "tensorboard"),
    "images": ("tifffile", "imagecodecs", "OpenEXR"),
    "weights": ("gdown",),
    "vot": ("trax",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "hota": ("trackeval",),
}
"""Modules of the extras in pyproject.toml; messages about a missing module name the first extra that has it."""
MAX_CHOICES = 30
"""Largest number of choices in a message."""


class InputError(ValueError):
    """Bad input. The message is one sentence: file or option, problem, remedy.

    Command-line programs print it on stderr and exit with code 2; no traceback.
    """


class RunStopped(RuntimeError):  # noqa: N818
    """A long run stopped early. The message is one sentence with the reason and where its state is saved.

    Command-line programs print it on stderr and exit with code 1, or after signal n with 128 + n; no traceback.
    """

    def __init__(self, message: str, *, signal_number: int | None = None) -> None:
        """``signal_number``: signal that stopped the run, if any."""
        super().__init__(message)
        self.signal_number = signal_number


def suggest(word: str, names: Iterable[str], remedy: str = "") -> str:
    """Return a question with the most similar name; ``remedy`` if none is similar."""
    matches = difflib.get_close_matches(word, list(names), n=1)
    return f"did you mean {matches[0]}?" if matches else remedy


def require(condition: object, message: str) -> None:
    """Raise `InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)


def output_exists_error(output: Path, content: str, *, forceable: bool = False) -> InputError:
    """Return the error about an output that must not be replaced; ``forceable``: suggest ``--force``."""
    remedy = ", or replace it with --force" if forceable else ""
    return InputError(f"output {output}: already contains {content}; choose another output{remedy}")


def require_choice(value: object, choices: Collection[object], name: str) -> None:
    """Raise `InputError`, ``NAME VALUE: not one of …; did you mean …?``, unless the value is one of the choices.

    ``name`` is that of the argument or setting, as Python callers write it; options with dashes are `Choice`.
    """
    if value not in choices:  # the similar choice takes milliseconds to find
        raise InputError(f"{name} {describe_wrong_choice(value, choices)}")


def describe_wrong_choice(value: object, choices: Collection[object]) -> str:
    """Return a message about a value that is not one of the choices: the first ones, and the most similar one."""
    remedy = suggest(str(value), map(str, choices))
    expected = join_truncated([*choices], MAX_CHOICES)
    return f"{shorten(value, 80)}: not one of {expected}{remedy and f'; {remedy}'}"


MEMORY_REMEDY = "make frames smaller with input.max_long_edge=640, or memory with memory.policy=restricted"
OUT_OF_MEMORY_MESSAGES = ("allocate memory", "not enough memory", "out of memory", "failed to map segment")
"""Parts of the messages of allocators, and of the loader of shared libraries, about a lack of memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that host or device memory ran out."""
    by_type = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    by_message = isinstance(error, RuntimeError | ImportError | OSError) and any(
        words in str(error) for words in OUT_OF_MEMORY_MESSAGES
    )
    return by_type or by_message


def require_extra(extra: str, *modules: str) -> None:
    """Check that the modules of an extra, or only ``modules``, are installed; raises `InputError` if not."""
    for module in modules or EXTRAS[extra]:
        require(find_spec(module), _format_missing(module, extra))


def describe_missing_module(module: str) -> str | None:
    """Return the message for a missing module, or None if no extra provides it."""
    top = module.split(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if top in modules), None)
    return None if extra is None else _format_missing(top, extra)


def _format_missing(module: str, extra: str) -> str:
    return f"{module} must be installed for this; pip install 'aotlab[{extra}]'"
