"""The record itself, as a link that needs no server."""

from __future__ import annotations

import base64
import gzip

import msgspec

from toolkit.records.schema import Run
from toolkit.report.markup import Markup, tag
from toolkit.units import Bytes, size

RECORD_LIMIT: Bytes = 500_000
"""A larger record is put into the page without its blocks."""


def download(run: Run) -> Markup:
    """The record itself, packed; without its blocks where it is too large for a page."""
    packed, words = gzip.compress(msgspec.json.encode(run), mtime=0), "The record of this run"
    if len(packed) > RECORD_LIMIT:
        packed = gzip.compress(msgspec.json.encode(without_blocks(run)), mtime=0)
        words = "The record of this run, without its blocks"
    link = f"data:application/gzip;base64,{base64.b64encode(packed).decode()}"
    return tag(
        "a", f"{words} (run.json.gz, {size(len(packed))})", href=link, download="run.json.gz"
    )


def without_blocks(run: Run) -> Run:
    """The record without the series, which are nearly all of it."""
    replace = msgspec.structs.replace
    records = [
        replace(one, timings=[replace(timing, series=[]) for timing in one.timings])
        for one in run.records
    ]
    return replace(run, records=records)
