"""Errors shown to the user as one sentence: bad input, missing extras, early stops."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path

from aotlab.utils.text import join_truncated, shorten

EXTRAS = {
    "cv2": "aotlab[score]",
    "pycocotools": "aotlab[score]",
    "tqdm": "aotlab[score]",
    "scipy": "aotlab[train]",
    "tensorboard": "aotlab[tensorboard]",
    "wandb": "aotlab[wandb]",
    "huggingface_hub": "aotlab[weights]",
    "gdown": "aotlab[weights]",
    "timm": "aotlab[encoders]",
    "onnx": "aotlab[export]",
    "onnxscript": "aotlab[export]",
    "onnxruntime": "aotlab[export]",
    "matplotlib": "aotlab[plot]",
}
"""Optional modules, and what pip installs for them; packages add theirs, with their folder in the checkout."""
MAX_CHOICES = 30
"""Largest number of choices in a message."""


class InputError(ValueError):
    """Bad input. The message is one sentence, ``SUBJECT: PROBLEM; REMEDY``.

    Command-line programs print it on stderr and exit with code 2; no traceback.
    """

    def __init__(self, problem: object, *, subject: object = "", remedy: object = "") -> None:
        """``subject``: file or option; ``remedy``: what would be right, if the problem does not say it."""
        super().__init__(problem)
        self.problem, self.subject, self.remedy = str(problem), str(subject), str(remedy)

    def __str__(self) -> str:
        """Return the message."""
        prefix = f"{self.subject}: " if self.subject else ""
        return f"{prefix}{self.problem}{f'; {self.remedy}' if self.remedy else ''}"

    def add_subject(self, subject: object) -> None:
        """Put a subject before that of the error, unless it is there already."""
        if self.subject != str(subject) and not self.subject.startswith(f"{subject}: "):
            self.subject = f"{subject}: {self.subject}" if self.subject else str(subject)


class RunStopped(RuntimeError):  # noqa: N818
    """A long run stopped early. The message is one sentence with the reason and where its state is saved.

    Command-line programs print it on stderr and exit with code 1, or after signal n with 128 + n; no traceback.
    """

    def __init__(self, message: str, *, signal_number: int | None = None) -> None:
        """``signal_number``: signal that stopped the run, if any."""
        super().__init__(message)
        self.signal_number = signal_number


def suggest(word: str, names: Iterable[str], remedy: str = "") -> str:
    """Return a question with a name that begins with the word, else the most similar one; ``remedy`` without any."""
    known = list(names)
    matches = sorted(name for name in known if word and name.startswith(word))
    matches = matches or difflib.get_close_matches(word, known, n=1)
    return f"did you mean {matches[0]}?" if matches else remedy


def require(condition: object, problem: object, *, subject: object = "", remedy: object = "") -> None:
    """Raise the `InputError` unless ``condition`` holds."""
    if not condition:
        raise InputError(problem, subject=subject, remedy=remedy)


def output_exists_error(
    output: Path, content: str, *, suggest_force: bool = False, alternative: str = ""
) -> InputError:
    """Return the error about an output that must not be replaced; ``suggest_force``: suggest ``--force``."""
    alternative = "replace it with --force" if suggest_force else alternative
    remedy = f"choose another output{alternative and f', or {alternative}'}"
    return InputError(f"already contains {content}", subject=f"output {output}", remedy=remedy)


def require_choice(value: object, choices: Collection[object], name: str, remedy: str = "") -> None:
    """Raise `InputError`, ``NAME VALUE: not one of …; did you mean …?``, unless the value is one of the choices.

    ``name`` is that of the argument or setting, as Python callers write it; options with dashes are `Choice`.
    ``remedy``: used if no choice is similar.
    """
    if value not in choices:  # the similar choice takes milliseconds to find
        raise InputError(f"{name} {describe_wrong_choice(value, choices, remedy)}")


def describe_wrong_choice(value: object, choices: Collection[object], remedy: str = "") -> str:
    """Return a message about a value that is not one of the choices: the first ones, and the most similar one."""
    remedy = suggest(str(value), map(str, choices), remedy)
    expected = join_truncated([*choices], MAX_CHOICES)
    return f"{shorten(value, 80)}: not one of {expected}{remedy and f'; {remedy}'}"


MEMORY_REMEDY = "make frames smaller with input.max_long_edge=640, or memory with memory.policy=rmem"
OUT_OF_MEMORY_MESSAGES = ("allocate memory", "not enough memory", "out of memory", "failed to map segment")
"""Parts of the messages of allocators, and of the loader of shared libraries, about a lack of memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that host or device memory ran out."""
    by_type = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    by_message = isinstance(error, RuntimeError | ImportError | OSError) and any(
        words in str(error) for words in OUT_OF_MEMORY_MESSAGES
    )
    return by_type or by_message


def require_modules(*modules: str) -> None:
    """Check that modules are installed; raises `InputError` with the first missing one and its extra, if any."""
    for module in modules:
        require(find_spec(module), describe_missing_module(module) or f"{module} must be installed for this")


def describe_missing_module(module: str) -> str | None:
    """Return the message for a missing module, or None if no extra provides it."""
    top = module.split(".")[0]
    if top not in EXTRAS:
        return None
    place = " in a checkout" if EXTRAS[top].startswith("./") else ""
    return f"{top} must be installed for this; pip install '{EXTRAS[top]}'{place}"
