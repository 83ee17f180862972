"""Rules of a list of videos, which its lead sets: who may accept a video, and the classes of its objects."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, structs

from aotlab import InputError, sdk
from aotlab_studio.document.log import is_same_person
from aotlab_studio.document.schema import ClassRule
from aotlab_studio.utils.files import write_json

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


def read_rules(folder: Path) -> Rules:
    """Return the rules in the folder of a list, the defaults without a file; raise `InputError` if it is damaged."""
    path = folder / RULES_FILE
    if not path.is_file():
        return Rules()
    with sdk.reading(path, "correct or remove it", *sdk.MALFORMED):
        return msgspec.json.decode(path.read_bytes(), type=Rules)


def change_rules(folder: Path, rules: Rules, person: str) -> Rules:
    """Store the rules of a list, and a person as the lead if none is set; raise `InputError` for another person."""
    lead = read_rules(folder).lead
    if lead and not is_same_person(lead, person):
        raise InputError(f"rules: only {lead}, the lead, may change them; ask {lead}")
    rules = structs.replace(rules, lead=rules.lead or person)
    write_json(folder / RULES_FILE, rules)
    return rules
