"""Video files that are shorter than their headers state, as after an interrupted download or recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"wide", b"uuid", b"meta")
"""top-level boxes of MP4 and MOV"""
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""first bytes of a Matroska or WebM file, and of its part with the media"""
TRANSPORT_PACKETS = ((188, 0), (192, 4))
"""length of a packet of MPEG-TS, plain or with a time before it, and the offset of its sync byte"""
PACK, LAST_BYTES = b"\x00\x00\x01\xba", 2**17
"""first bytes of a pack of MPEG-PS, and a number of bytes at the end of a file that hold one"""


def count_missing_bytes(path: Path) -> int:
    """Return the number of bytes that a video file lacks according to its header; 0 if complete or unknown.

    Supports MP4 and MOV, Matroska and WebM, AVI, and MPEG-TS and MPEG-PS cut within a packet. FFmpeg reports the end of
    such files as for complete ones, and drops errors of the last frames if it decodes them in several threads.

    Args:
        path: a video that FFmpeg opens.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        first, size = file.read(4 * 192), file.seek(0, os.SEEK_END)
        for length, offset in TRANSPORT_PACKETS:
            if first[offset : 4 * length : length] == b"GGGG":
                return -size % length
        if first.startswith(b"RIFF"):
            return max(0, 8 + int.from_bytes(first[4:8], "little") - size)
        if first.startswith(PACK):
            return max(0, _find_packet_end(file, size) - size)
        if first.startswith(EBML):
            return max(0, _find_segment_end(file) - size)
        return max(0, _find_media_end(file, size) - size)


def _find_packet_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last packet of an MPEG program stream as stated in it; 0 if unknown."""
    begin = max(0, size - LAST_BYTES)
    file.seek(begin)
    content = file.read()
    offset = content.rfind(PACK)
    if offset < 0:
        return 0
    mpeg2 = content[offset + 4 : offset + 5] >= b"\x40"
    offset += 14 + (content[offset + 13] & 7 if offset + 13 < len(content) else 0) if mpeg2 else 12
    while content[offset : offset + 3] == PACK[:3] and content[offset + 3 : offset + 4] > PACK[3:]:
        offset += 6 + int.from_bytes(content[offset + 4 : offset + 6], "big")
    return begin + offset


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
