"""Makes every bad file, each in a folder of its own: `python -m tests.hostile FOLDER`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from tests.hostile.kind import Place
from tests.hostile.listing import KINDS


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Makes them in a new FOLDER, with the command that meets each."""
    for name, kind in KINDS.items():
        place = Place(folder / re.sub(r"\W+", "-", name) / "inside", folder / "outside")
        place.folder.mkdir(parents=True)
        place.outside.mkdir(exist_ok=True)
        kind.make(place)
        click.echo(f"cd {place.folder}; toolkit {' '.join(kind.words)}")


if __name__ == "__main__":
    main()
