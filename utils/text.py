"""Quantities as people write them."""

from __future__ import annotations

import re

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def picture_size(text: str) -> tuple[int, int]:
    """(width, height) of "854x480".

    Raises:
        ValueError: not two whole numbers above 0.
    """
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(f"{text}: expected WIDTHxHEIGHT, for example 854x480")
    return int(width), int(height)


def byte_count(text: str) -> int:
    """Bytes of "2GB", "512MB" or "1.5GiB".

    Raises:
        ValueError: no number above 0 with a unit.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KMG]?I?B)", text.strip().upper())
    if match is None or match[2] not in UNITS or float(match[1]) == 0:
        raise ValueError(f"{text}: expected bytes with their unit, for example 2GB or 512MB")
    return int(float(match[1]) * UNITS[match[2]])


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """ "1 sequence", "2 sequences"; ``plural`` for nouns that take more than an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
