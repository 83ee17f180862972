"""Rules of a list of videos, which its lead sets: who may accept a video, and the classes of its objects."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, structs

from aotlab import InputError, sdk
from aotlab_studio.document.log import is_same_person
from aotlab_studio.document.schema import ClassRule, Schema
from aotlab_studio.utils.files import describe_files, write_json

logger = logging.getLogger(__name__)
RULES_FILE = "aotlab-rules.json"
AcceptRule = Literal["anyone", "others", "reviewer"]
"""``others``: people who have not drawn in the video; ``reviewer``: of these, only the assigned reviewer if any."""


class Rules(Struct, frozen=True):
    """Rules of a list. Names are not checked: whoever types the lead's name is the lead."""

    lead: str = ""
    """Person who may change the rules; empty: anyone."""
    accept: AcceptRule = "anyone"
    classes: list[ClassRule] = []
    """Schema of the objects; empty: any class and attribute."""

    @classmethod
    def parse(cls, content: bytes, subject: object = "rules") -> Rules:
        """Return the rules in JSON; raise `InputError` for others, and for an unusable schema."""
        with sdk.reading(subject, "correct or remove it", *sdk.MALFORMED):
            rules = msgspec.json.decode(content, type=Rules)
            return structs.replace(rules, classes=Schema.parse(rules.classes).classes)


class Acceptance(Struct, frozen=True):
    """People who may accept a video, by the rule of its list."""

    reviewer: str = ""
    """Only person who may; empty: not only one."""
    annotators: list[str] = []
    """People who may not, as they have drawn in it."""

    def find_problem(self, person: str) -> str:
        """Return why a person may not accept the video; empty if they may."""
        if self.reviewer and not is_same_person(self.reviewer, person):
            return f"only its reviewer, {self.reviewer}, may accept it"
        has_drawn = any(is_same_person(person, name) for name in self.annotators)
        return f"{person} has drawn in it, and only others may accept it" if has_drawn else ""


class RulesFile:
    """The rules in the folder of a list. While their file is damaged, those that were read last hold."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RULES_FILE
        self.current, self.problem = Rules(), ""
        self.listeners: set[Callable[[], None]] = set()
        """Functions that are called after a change, in any thread. They lock documents."""
        self._state: object = None  # of the file when it was read
        self._was_read = False  # whether `current` is what the file contained
        self._lock = threading.Lock()
        self.refresh()

    @property
    def schema(self) -> Schema:
        return Schema(self.current.classes)

    def refresh(self) -> None:
        """Read the file if it has changed. `problem` is why it cannot be read."""
        if (state := describe_files([self.path])) == self._state:
            return
        self._state, self.problem = state, ""
        try:
            with sdk.reading(self.path, "correct or remove it"):
                exists = self.path.exists()
                self.current = Rules.parse(self.path.read_bytes(), self.path) if exists else Rules()
            self._was_read = exists
        except InputError as error:
            self.problem = str(error)
            logger.warning("%s", error)
        for listener in [*self.listeners]:
            with suppress(InputError):  # a project that cannot be read
                listener()

    def require_known(self) -> None:
        """Raise `InputError` if the file is damaged and was never read."""
        if self.problem and not self._was_read:
            raise InputError(self.problem)

    def change(self, rules: Rules, person: str) -> None:
        """Store rules, and a person as the lead if none is set; raise `InputError` for another person.

        Also raises it if the folder is gone.
        """
        with self._lock:
            if not self.path.parent.is_dir():
                raise InputError(f"rules: the folder of the list is gone: {self.path.parent}; restore it")
            self.refresh()
            self.require_known()
            if (lead := self.current.lead) and not is_same_person(lead, person):
                raise InputError(f"rules: only {lead}, the lead, may change them; ask {lead}")
            write_json(self.path, structs.replace(rules, lead=lead or person))
            self.refresh()
