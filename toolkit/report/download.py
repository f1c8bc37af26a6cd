"""Puts the record of a run into its page, as a link that needs no server."""

from __future__ import annotations

import base64
import gzip

import msgspec

from toolkit.records.schema import Run
from toolkit.report.markup import Markup, tag
from toolkit.units import Bytes, size

RECORD_LIMIT: Bytes = 500_000
"""A larger packed record goes in without its blocks. In the page it takes 4/3 of its size (base64),
and the page shall stay under 2 MB with the 580 KB of Vega and the data of the plots."""


def download(run: Run) -> Markup:
    """A link to run.json.gz, which stands in the link itself."""
    packed, words = _packed(run), "The record of this run"
    if len(packed) > RECORD_LIMIT:
        packed, words = _packed(without_blocks(run)), "The record of this run, without its blocks"
    link = f"data:application/gzip;base64,{base64.b64encode(packed).decode()}"
    return tag(
        "a", f"{words} (run.json.gz, {size(len(packed))})", href=link, download="run.json.gz"
    )


def _packed(run: Run) -> bytes:
    # Without the time of packing: the same run gives the same page.
    return gzip.compress(msgspec.json.encode(run), mtime=0)


def without_blocks(run: Run) -> Run:
    """The record without its series of blocks, which are nearly all of its size."""
    replace = msgspec.structs.replace
    records = [
        replace(record, timings=[replace(timing, series=[]) for timing in record.timings])
        for record in run.records
    ]
    return replace(run, records=records)
