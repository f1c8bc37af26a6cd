"""Tests of the onnx package → the oracle and targets → a ledger → a report."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.engine import selection
from toolkit.operatortests import cases, running, tables
from toolkit.operatortests.outcome import OperatorOutcome, OutcomeLedger
from toolkit.operatortests.running import Watch
from toolkit.records import untrusted
from toolkit.report import operators as operators_page
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target, parse
from toolkit.workers import environments
from toolkit.workers.jobs import Patience
from toolkit.workers.launch import Launcher

LEDGER, REPORT, PAGE = "ledger.jsonl", "report.md", "report.html"
FOLDER = Path("reports/conformance")
"""The folder where none is named."""


@dataclass(frozen=True)
class Conformance:
    """The outcomes of a run, and the folder in which they are kept."""

    folder: Path
    outcomes: Sequence[OperatorOutcome]

    def _repr_html_(self) -> str:
        """What came of the tests on each target, as a notebook shows it."""
        from toolkit.operatortests import tables
        from toolkit.report import notebook
        from toolkit.report.grids.grid import Grid

        tallies = tables.by_target(self.outcomes)
        rows = [(*column, tally.run(), tally.text()) for column, tally in tallies.items()]
        grid = Grid(("target", "version", "run", "right"), tuple(rows))
        return notebook.grid_markup(f"ONNX's operator tests, kept in {self.folder}", grid)


def conformance(
    targets: Sequence[str] = (),
    *,
    out: str | Path = FOLDER,
    operators: Sequence[str] = (),
    patience: Patience | None = None,
    watch: Watch = lambda share, text: None,
) -> Conformance:
    """Runs the operator tests that the onnx package ships, on the oracle and on targets.

    `targets` are as they are typed; without any, onnxruntime where it is installed. `operators`
    names some, such as 'Conv'. What the ledger in the folder `out` has already is not run again.
    Raises InputError for an operator without a test, EnvironmentFault for a target that is not
    installed, and TargetError for one whose library does not start.
    """
    chosen = selection.settled([parse(text) for text in targets] or _default())
    every = cases.cases(operators)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = OutcomeLedger(folder / LEDGER)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        entries = [listing.find(target.runtime) for target in chosen]
        # Tests are small: what takes gigabytes for one is a fault of the library, not of the limit.
        launcher = Launcher(
            environments.lay(Path(work) / "rooms", entries),
            patience or Patience(20.0, 200.0),
            keeps_limit=True,
        )
        try:
            with running.served(chosen, launcher) as served:
                running.run(every, served, ledger, watch)
        finally:  # After ^C, too: what was done is shown.
            outcomes = ledger.read()
            untrusted.write(folder / REPORT, tables.markdown(outcomes).encode())
            untrusted.write(folder / PAGE, operators_page.render(outcomes).encode())
    return Conformance(folder, outcomes)


def _default() -> list[Target]:
    here = importlib.util.find_spec("onnxruntime") is not None
    return [Target("onnxruntime", "cpu")] if here else []
