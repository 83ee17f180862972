"""Texts without passwords."""

import pytest

from aotlab.utils.text import strip_credentials


@pytest.mark.parametrize(("url", "stripped"), [
    ("rtsp://me:secret@cam/live", "rtsp://cam/live"),
    ("rtsp://cam/live?user=admin&password=secret", "rtsp://cam/live?"),
    ("https://a/b.mp4?X-Amz-Signature=5f&t=3#end", "https://a/b.mp4?t=3#end"),
    ("https://a/b.mp4?id=3&token=5f", "https://a/b.mp4?id=3&"),
    ("https://a/b.mp4?keyframes=3&passage=2", "https://a/b.mp4?keyframes=3&passage=2"),
    ("a@b/user=c.mp4", "a@b/user=c.mp4"),
])  # fmt: skip
def test_urls_lose_their_passwords(url, stripped):
    assert strip_credentials(f"open {url} failed") == f"open {stripped} failed"
