"""Tables, bytes, shortened texts and lists, and URLs without passwords."""

import pytest

from aotlab.utils.text import align_columns, format_bytes, join_truncated, shorten, strip_credentials


@pytest.mark.parametrize(("url", "stripped"), [
    ("rtsp://me:secret@cam/live", "rtsp://cam/live"),
    ("rtsp://cam/live?user=admin&password=secret", "rtsp://cam/live?"),
    ("https://a/b.mp4?X-Amz-Signature=5f&t=3#end", "https://a/b.mp4?t=3#end"),
    ("https://a/b.mp4?sv=2024&sig=5f%3D", "https://a/b.mp4?sv=2024&"),
    ("https://a/b.mp4?id=3&token=5f", "https://a/b.mp4?id=3&"),
    ("https://a/b.mp4?keyframes=3&passage=2", "https://a/b.mp4?keyframes=3&passage=2"),
    ("a@b/user=c.mp4", "a@b/user=c.mp4"),
])  # fmt: skip
def test_urls_lose_their_passwords(url, stripped):
    assert strip_credentials(f"open {url} failed") == f"open {stripped} failed"


def test_long_text_is_cut_on_one_line():
    assert shorten("a\n b" + "c" * 99, 5) == "a bcc"


def test_ellipsis_stands_for_left_out_values():
    assert join_truncated([1, 2], limit=2) == "1, 2"
    assert join_truncated([1, 2, 3], limit=2) == "1, 2, …"


def test_columns_are_aligned_right_from_one_on():
    rows = [["a", "long"], ["wide", "b"]]
    assert align_columns(rows) == ["a     long", "wide  b"]
    assert align_columns(rows, right=1) == ["a     long", "wide     b"]


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 B"), (999, "999 B"), (999_499, "999 KB"), (999_500, "1 MB"), (999_999, "1 MB"), (1_500_000_000, "1.5 GB"),
    (12 * 10**15, "12000 TB"),
])  # fmt: skip
def test_bytes_are_shown_in_three_digits(count, text):
    assert format_bytes(count) == text
