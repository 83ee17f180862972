"""Messages of torch.compile: one line on the console, warnings in a file."""

from __future__ import annotations

import logging

from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder, user_cache

FILE = "compile.log"
LOGGERS = ("torch._dynamo", "torch._inductor")
log = logging.getLogger(__name__)


def announce_compilation() -> None:
    """Say that the first frames compile, and send PyTorch's messages about it to a file of the user's cache."""
    try:
        path = make_folder(user_cache()) / FILE
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    except (InputError, OSError):
        path, handler = None, logging.NullHandler()
    log.info(
        "compiling the model: the first frames take minutes%s",
        f"; PyTorch's messages are in {path}" if path else "",
    )
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
