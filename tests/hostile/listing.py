"""Every kind of bad file, by its name."""

from __future__ import annotations

from tests.hostile import given, graphs, nofiles, runfolders, stored
from tests.hostile.kind import Kind

KINDS: dict[str, Kind] = {
    **nofiles.KINDS,
    **graphs.KINDS,
    **stored.KINDS,
    **runfolders.KINDS,
    **given.KINDS,
}
