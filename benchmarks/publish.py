"""Puts the committed results into the documents, between marks.

python -m benchmarks.publish
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from benchmarks import (
    blocks,
    conditions,
    growth,
    ledger,
    metricpairs,
    overhead,
    startup,
    trust,
)
from benchmarks.fuzz import program as fuzz
from benchmarks.ledger import Line
from benchmarks.peers import summary as peers
from benchmarks.scale import measure as scale
from benchmarks.zoo import measure as zoo

ROOT = Path(__file__).parent.parent
Tables: TypeAlias = Mapping[str, Callable[[Sequence[Line]], str]]
"""Program → what makes a table of its lines."""
DOCUMENTS: Mapping[Path, Tables] = {
    ROOT / "METHODOLOGY.md": {
        "trust": trust.markdown,
        "peers": peers.markdown,
        "conditions": conditions.markdown,
        "blocks": blocks.markdown,
        "metricpairs": metricpairs.markdown,
        "overhead": overhead.markdown,
        "startup": startup.markdown,
        "scale": scale.table,
        "growth": growth.markdown,
    },
    ROOT / "README.md": {"scale": scale.of_bert},
    ROOT / "SECURITY.md": {"fuzz": fuzz.markdown},
    ROOT / "docs" / "zoo.md": {"zoo": zoo.table},
}
"""Document → its tables."""
SUMMARIES: Mapping[str, Callable[[], Sequence[Line]]] = {"fuzz": fuzz.summaries}
"""Programs of whose results a summary alone is in this repository."""
CLOSING = "<!-- end -->"


def filled(document: str, tables: Tables) -> str:
    """The document with the table of each program that has results between its marks."""
    for name, markdown in tables.items():
        lines = lines_of(name)
        if lines:
            before, after = around(name, document)
            document = f"{before}{provenance(name, lines)}\n\n{markdown(lines)}\n{after}"
    return document


def lines_of(name: str) -> Sequence[Line]:
    """The results of a program that are in this repository."""
    if name in SUMMARIES:
        return SUMMARIES[name]()
    return ledger.newest(ledger.committed(name).lines())


def around(name: str, document: str) -> tuple[str, str]:
    """Splits the document around the table of a program; its marks stay in the two parts.

    Raises ValueError where the document has no such marks.
    """
    mark = f"<!-- benchmarks.{name} -->\n"
    start = document.index(mark) + len(mark)
    return document[:start], document[document.index(CLOSING, start) :]


def provenance(name: str, lines: Sequence[Line]) -> str:
    """A sentence on where, when and by which code the lines were measured."""
    days = sorted({line["at"][:10] for line in lines})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    loads = [line["load"] for line in lines]
    where = " and ".join(dict.fromkeys(line["machine"] for line in lines))
    # A summary is of cases of several commits.
    commits = ", ".join(
        dict.fromkeys(commit for line in lines for commit in line["commit"].split(", "))
    )
    load = f"{min(loads):.1f} to {max(loads):.1f}, median {statistics.median(loads):.1f}"
    return (
        f"`python -m benchmarks.{name}` on {where}, {when}, at the commits {commits}; load average "
        f"{load}."
    )


def main() -> None:
    """Rewrites the documents."""
    for path, tables in DOCUMENTS.items():
        path.write_text(filled(path.read_text("utf-8"), tables), "utf-8")


if __name__ == "__main__":
    main()
