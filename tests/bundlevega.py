"""Bundles the code of Vega for the package, from what vl-convert carries. `make assets` runs it."""

from __future__ import annotations

from pathlib import Path

import vl_convert

from toolkit import report
from toolkit.report import page

FILE = Path(report.__file__).parent / "assets" / page.LIBRARY


def main() -> None:
    """Writes the bundle of the version that vl-convert has here."""
    FILE.write_text(page.bundled(vl_convert.get_vega_version()), "utf-8")


if __name__ == "__main__":
    main()
