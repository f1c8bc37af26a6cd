"""Makes a text of strangers safe where it is shown: names in a model or in a record, words of a
library and names of files may hold any character.

A terminal obeys control characters (its title, its clipboard, what stands above), and characters of
format turn around what is read. Markdown takes some letters for its own.
"""

from __future__ import annotations

import html
import re
import unicodedata

INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of characters that steer a terminal or the direction of a text: controls,
formats (among them U+202E), surrogates, private and unassigned ones, line and paragraph ends. A
surrogate stands for a byte of a file's name that is no UTF-8."""
STYLES = {"strong": "\x1b[1m", "quiet": "\x1b[2m", "wrong": "\x1b[31m"}
"""Name → the escape sequence (ECMA-48): bold, faint, red. No others are ever printed in a text."""
RESET = "\x1b[0m"
"""Ends a style."""


def printable(text: str) -> str:
    """`text` on one line without control characters, with one space between two words.

    >>> printable("a\\x1b[31mb\\nc\\u202ed")
    'a�[31mb c�d'
    """
    return _visible(re.sub(r"[ \t\r\n\v\f]+", " ", text).strip())


def line(text: str) -> str:
    """`text` on one line without control characters, with its spaces as they are.

    >>> line("toolkit bench    measures\\r\\nit\\x07")
    'toolkit bench    measures it�'
    """
    return _visible(re.sub(r"[\t\r\n\v\f]+", " ", text))


def lines(text: str, *, styled: bool = False) -> str:
    """`text` on the lines that it has, without control characters; with STYLES where it is
    `styled` by us.

    >>> lines("a\\x1b]0;title\\x07\\nb")
    'a�]0;title�\\nb'
    """
    pieces = re.split(f"({'|'.join(map(re.escape, [*STYLES.values(), RESET]))})", text)
    kept = {*STYLES.values(), RESET} if styled else set()
    return "".join(piece if piece in kept else _on_lines(piece) for piece in pieces)


def json_text(text: str) -> str:
    """JSON with the same values, in which what is invisible stands as an escape of JSON's own.

    >>> json_text('"a\\u202eb"')
    '"a\\\\u202eb"'
    """
    return re.sub(r"[^ -~\t\n]", lambda c: _escaped(c[0]) if _is_invisible(c[0]) else c[0], text)


def markdown(text: str) -> str:
    """`text` on one line, escaped so that its words stay words: neither Markdown nor HTML."""
    # HTML first: Markdown passes tags and entities through.
    plain = html.escape(printable(text), quote=False)
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", plain)


def code(text: str) -> str:
    """`text` as code in a line or in a cell of Markdown, where nothing in it has a meaning; what
    would end the cell or the code is replaced, since no escape is known there."""
    return f"`{printable(text).translate({ord('|'): '¦', ord('`'): chr(39)}) or ' '}`"


def _on_lines(text: str) -> str:
    broken = re.sub(r"\r\n?", "\n", text).expandtabs()
    return _visible(broken)


def _visible(text: str) -> str:
    """Replaces what is invisible, but for the ends of lines."""
    return re.sub(r"[^ -~\n]", lambda c: "�" if _is_invisible(c[0]) else c[0], text)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in INVISIBLE


def _escaped(character: str) -> str:
    """A character as JSON writes it in ASCII: two surrogates beyond the first plane (RFC 8259)."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
