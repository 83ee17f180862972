"""Code blocks and command lines of the documents."""

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


def split_commands(text):
    """Return the command lines of a shell block, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]
