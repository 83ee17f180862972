"""Code blocks of the documents."""

import re

BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def split_blocks(page, *languages):
    """Return the code blocks of a page in some languages with their lines: [(line, language, text)]."""
    text = page.read_text(encoding="utf-8")
    return [
        (text[: match.start()].count("\n") + 1, match[1], match[2])
        for match in BLOCK.finditer(text)
        if match[1] in languages
    ]
