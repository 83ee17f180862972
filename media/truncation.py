"""Video files that are shorter than their headers state, as after an interrupted download or recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"wide", b"uuid", b"meta")
"""top-level boxes of MP4 and MOV"""
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""first bytes of a Matroska or WebM file, and of its part with the media"""


def count_missing_bytes(path: Path) -> int:
    """Return the number of bytes that a video file lacks according to its header; 0 if complete or unknown.

    Supports MP4 and MOV, Matroska and WebM. FFmpeg reports the end of such files as for complete ones, and drops errors
    of the last frames if it decodes them in several threads.
    """
    with path.open("rb") as file:
        start, size = file.read(len(EBML)), file.seek(0, os.SEEK_END)
        end = _find_segment_end(file) if start == EBML else _find_media_end(file, size)
        return max(0, end - size)


def _find_segment_end(file: BinaryIO) -> int:
    """Return the end of the media of a Matroska file as its header states it; 0 if unknown."""
    file.seek(len(EBML))
    file.seek(_read_ebml_number(file), os.SEEK_CUR)
    length = _read_ebml_number(file) if file.read(len(SEGMENT)) == SEGMENT else 0
    return file.tell() + length if length else 0


def _read_ebml_number(file: BinaryIO) -> int:
    """Read a number whose leading zero bits count its further bytes; 0 if unknown, which is stored as all ones."""
    first = file.read(1)[0]
    bits = 7 * (9 - first.bit_length())
    value = int.from_bytes(bytes([first]) + file.read(bits // 7 - 1), "big") & ((1 << bits) - 1)
    return 0 if value == (1 << bits) - 1 else value


def _find_media_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last media box of an MP4 file as stated in it; 0 for other files."""
    offset = end = 0
    while offset < size:
        file.seek(offset)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if length == 1:  # 64 bits follow
            length = int.from_bytes(file.read(8), "big")
        if kind not in BOXES or length < 8:  # 0: up to the end of the file
            return end
        offset += length
        end = offset if kind in (b"mdat", b"moof") else end
    return end
