"""Tables in HTML for notebooks, which call `_repr_html_` of the last value of a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(
    caption: str, headers: Sequence[str], rows: Iterable[Sequence[object]], note: str = ""
) -> str:
    """Return a table whose texts are escaped; numbers are aligned to the right.

    Parameters
    ----------
    caption
        Above the table.
    headers
        Names of the columns; empty: there are none.
    rows
        Cells; integers get separators of thousands.
    note
        Below the table.

    Examples
    --------
    >>> html_table("<a>", [], [["&"]])
    '<table><caption>&lt;a&gt;</caption><tr><td>&amp;</td></tr></table>'
    """
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    lines = [f"<tr>{head}</tr>"] if head else []
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<table><caption>{escape(caption)}</caption>{''.join(lines)}</table>{below}"


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td style="text-align:right">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
