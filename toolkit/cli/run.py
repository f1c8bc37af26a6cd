"""`toolkit run`: the whole chain on the reference model."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import options, screen, typed

EXAMPLES = """\b
Examples:
  toolkit run
  toolkit run --provider cpu,cuda --precision 0.5%
"""


@click.command("run", epilog=EXAMPLES)
@options.PROVIDER
@options.TIME
@options.PRECISE
@options.QUICK
@options.ANONYMOUS
@click.option("--force", is_flag=True, help="Overwrite weights that differ from the trained ones.")
@options.REPORTS
def command(
    provider: str | None,
    time: float | None,
    precision: float | None,
    quick: bool,
    anonymous: bool,
    force: bool,
    reports: Path,
) -> None:
    """Train the reference MLP, export it, prove the file, measure it, and write the report.

    Everything goes to ./models/mlp and ./reports.
    """
    from toolkit.cli import bench, export, train
    from toolkit.data.request import DIGITS, DataRequest
    from toolkit.exporter.quiet import Chatter
    from toolkit.measure import schedule
    from toolkit.pipelines import bench as benching
    from toolkit.pipelines.check import check
    from toolkit.pipelines.train import WEIGHTS
    from toolkit.report import checked as check_report

    train.show("digits", WEIGHTS, force=force)
    exported = export.show(None, None, as_json=False, chatter=Chatter(), force=force)
    line = _as_bench(exported.path, provider, time, precision, quick, anonymous, reports)
    written, whole = typed.recorded(bench.command, line)
    request = benching.BenchRequest(
        targets=options.targets_of(provider, ()),
        pace=schedule.pace(precision, time, quick),
        command=written,
        whole_command=whole,
        data=DataRequest(DIGITS),
        anonymous=anonymous,
    )
    with screen.progress("check") as draw:
        checked = check(exported.path, watch=lambda step, share, text: draw(share, text))
    for number, sentence in enumerate(check_report.sentences(checked.run)):
        screen.line("" if number else "check", sentence)
    with screen.progress("bench") as draw:
        finished = benching.bench(
            exported.path,
            request,
            reports=reports,
            watch=lambda step, share, text: draw(share, text),
        )
    bench.show(finished)


def _as_bench(
    model: Path,
    provider: str | None,
    time: float | None,
    precision: float | None,
    quick: bool,
    anonymous: bool,
    reports: Path,
) -> list[str]:
    """Returns the last part of the chain as it would be typed alone, so that --resume can go on
    with it."""
    return [
        *("toolkit", "bench", str(model), "--data", "digits"),
        *(["--provider", provider] if provider else []),
        *(["--time", f"{time:g}s"] if time else []),
        *(["--precision", f"{100 * precision:g}%"] if precision else []),
        *(["--quick"] if quick else []),
        *(["--anonymous"] if anonymous else []),
        *(["--output", str(reports)] if reports != Path("reports") else []),
    ]
