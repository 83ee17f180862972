"""Tables of cells as aligned text, CSV, LaTeX or Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from typing import Literal, get_args

from aotlab.utils.text import align_columns

TableFormat = Literal["text", "csv", "latex", "markdown"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
"""LaTeX of characters that need more than a backslash."""


def format_rows(
    rows: Sequence[Sequence[str]],
    style: TableFormat = "text",
    *,
    best: Collection[tuple[int, int]] = (),
    right: int = 1,
) -> str:
    """Return rows as a table, of which the first one is the head.

    Args:
        rows: cells, as many in each row.
        style: text has columns of one width, LaTeX the environment tabular.
        best: (row, column) of cells that are bold in LaTeX and Markdown.
        right: first column that is aligned to the right.
    """
    if style == "text":
        lines = align_columns(rows, right=right)
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
    if style == "csv":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        return stream.getvalue().rstrip("\n")
    escape, bold = (_escape_latex, r"\textbf{{{}}}") if style == "latex" else (_escape_markdown, "**{}**")
    cells = [
        [bold.format(escape(cell)) if (row, column) in best else escape(cell) for column, cell in enumerate(line)]
        for row, line in enumerate(rows)
    ]
    num_left, num_right = right, len(rows[0]) - right
    if style == "markdown":
        rule = ["---"] * num_left + ["---:"] * num_right
        return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))
    lines = [rf"{' & '.join(line)} \\" for line in cells]
    begin = rf"\begin{{tabular}}{{{'l' * num_left}{'r' * num_right}}}"
    return "\n".join([begin, r"\hline", lines[0], r"\hline", *lines[1:], r"\hline", r"\end{tabular}"])


def _escape_latex(text: str) -> str:
    return re.sub(r"[\\~^±&%$#_{}]", lambda match: LATEX.get(match[0], f"\\{match[0]}"), text)


def _escape_markdown(text: str) -> str:
    return text.replace("|", r"\|")
