"""Copies of a file that are truncated or changed."""

from aotlab_testing.mutations import corrupt_bytes, read_error


def check_damaged_copies(path, read, count, max_changes, *, prefixes_are_refused=False):
    """Fail unless a file is read, and each damaged copy is read or rejected in one sentence that names it."""
    assert not read_error(read, path)
    refused = []
    for content in corrupt_bytes(path.read_bytes(), count, max_changes):
        path.write_bytes(content)
        refused.append(read_error(read, path))
    assert refused[0]
    assert not prefixes_are_refused or all(refused[:10])
