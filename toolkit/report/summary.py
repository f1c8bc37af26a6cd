"""Turns a run into what is shown of it. The rules V1 to V4 stand in view.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from toolkit.records import pairing
from toolkit.records.schema import PlannedTarget, Run, TargetRecord
from toolkit.report import agreement, comparison, deciding, decision, throughput
from toolkit.report.conclusion import conclusions, fastest, none_ranked, without_rank
from toolkit.report.decision import ComparisonDecision
from toolkit.report.facts import (
    machine_line,
    measured_line,
    model_line,
    placement_text,
    protocol_line,
    state_line,
)
from toolkit.report.ratios import against
from toolkit.report.speed import speed
from toolkit.report.view import (
    Cold,
    Note,
    Row,
    Samples,
    ShownTarget,
    Standing,
    Table,
    Use,
    View,
    spread,
)
from toolkit.report.warnings import advice
from toolkit.report.words import printable

NOT_JUDGED = "its answers were not judged, so its times are not shown"
NO_VERSION = "its runtime did not say its version, so its times are not shown"
NOT_COUNTED = "in no process start were the answers of its timed calls right"
NO_TIMES = "it has no times at this case"
NOT_REACHED = "the run had not come to it"


def summarize(run: Run, samples: Samples | None = None) -> View:
    """The view of a run. Without samples it has no distributions, and says so."""
    records = {record.target: record for record in run.records}
    targets = tuple(
        shown_target(index, name, planned, records.get(index))
        for index, (name, planned) in enumerate(
            zip(names(run.plan.targets), run.plan.targets, strict=True)
        )
    )
    tables = tuple(table(run, case, targets, samples) for case in range(len(run.plan.cases)))
    return View(
        run=run,
        title=printable(run.plan.model.name),
        model=model_line(run.plan.model),
        machine=machine_line(run.machine),
        protocol=protocol_line(run),
        measured=measured_line(run),
        state=state_line(run),
        decision=_decision(run, tables),
        conclusions=conclusions(tables),
        choosing=throughput.sentences(run, tables),
        without_rank=without_rank(tables),
        agreements=tuple(agreement.sentences(run, targets)),
        tables=tables,
        targets=targets,
        notes=tuple(notes(run, targets)),
        copies=tuple(copies(targets)),
        # An empty samples.npz carries no distribution either.
        samples=samples is not None and len(samples) > 0,
    )


def _decision(run: Run, tables: Sequence[Table]) -> ComparisonDecision | None:
    """The decision of a run that compares old with new, by the wishes in its command."""
    wishes = decision.wishes(run.command)
    pairs = pairing.old_and_new(run)
    return deciding.decided(comparison.side_by_side(run, tables, pairs, wishes), wishes, run)


def names(targets: Sequence[PlannedTarget]) -> list[str]:
    """The label of each target; its canonical name where another has the same label."""
    labels = [target.label for target in targets]
    return [
        printable(target.label if labels.count(target.label) == 1 else target.name)
        for target in targets
    ]


def shown_target(
    index: int, name: str, planned: PlannedTarget, record: TargetRecord | None
) -> ShownTarget:
    """Gathers what is known of a target at every case."""
    placement, moved = placement_text(record)
    library = record.library if record else None
    # Of a target that failed in a later process start, the record still holds what it did before.
    measured = None if record is None or record.failure is not None else record
    return ShownTarget(
        index=index,
        name=f"{name} ({moved})" if moved else name,
        planned=planned,
        record=record,
        library=printable(f"{library.runtime} {library.version}") if library else "",
        verdict=measured.verdict if measured else None,
        placement=placement,
        copies=printable(planned.copies_inside),
        cold=cold(measured),
        use=use(measured),
    )


def cold(record: TargetRecord | None) -> Cold:
    """The times of a cold start over the process starts; without a record there are none."""
    if record is None:
        return Cold(None, None, None, None, None)
    start = record.cold
    return Cold(
        imported=spread(start.imported),
        loaded=spread(start.loaded),
        first_call=spread(start.first_call),
        new_shape=spread(start.new_shape),
        steady_after=spread(start.steady_after),
    )


def use(record: TargetRecord | None) -> Use:
    """Memory above idle; without a record there is none.

    It is a difference within each process, and never one of two medians: those may come from
    different processes.
    """
    if record is None:
        return Use(None, None)
    memory = record.memory
    # Not strict: a record is untrusted, and a value that is missing at its end costs no more.
    resident, peak = (
        spread([after - idle for idle, after in zip(memory.idle, held, strict=False)])
        for held in (memory.resident, memory.peak)
    )
    return Use(resident, peak)


def table(run: Run, case: int, targets: Sequence[ShownTarget], samples: Samples | None) -> Table:
    """All targets at one case: the right by speed, those that are not shown by speed, then the
    others as they were planned."""
    rows = [judged(run, case, target, samples) for target in targets]
    right, not_shown = (
        [row for row in rows if row.standing is standing]
        for standing in (Standing.RANKED, Standing.NOT_SHOWN)
    )
    base, changed = baseline(run, rows, right or not_shown)
    ranked = [
        replace(row, rank=rank)
        for rank, row in enumerate(by_speed(run, case, right, base), start=1)
    ]
    beside = by_speed(run, case, not_shown, base)
    name = base.target.name if base else ""
    return Table(
        case=run.plan.cases[case],
        baseline=name,
        changed=changed,
        rows=(
            *ranked,
            *beside,
            *(row for row in rows if row.standing is Standing.NOT_RIGHT),
            *(row for row in rows if row.standing is Standing.NOT_MEASURED),
        ),
        conclusion=fastest(run, case, ranked, name) if ranked else none_ranked(beside),
        rows_a_second=throughput.has_batches(run),
        price=run.plan.price,
        unit=throughput.noun(run.plan.cases[case]),
        apart=tuple(apart([*ranked, *beside], base)),
    )


def judged(run: Run, case: int, target: ShownTarget, samples: Samples | None) -> Row:
    """The row of a target with its standing; rules V1 to V3 are kept here and nowhere else."""
    verdict, record = target.verdict, target.record
    row = Row(
        target=target,
        standing=Standing.NOT_MEASURED,
        rank=None,
        speed=None,
        ratio=None,
        answers=printable(verdict.text) if verdict else "–",
        reason="",
    )
    if record is None:
        return replace(row, reason=NOT_REACHED)
    if record.failure is not None:
        cures = tuple(map(printable, record.failure.cures))
        return replace(row, reason=printable(record.failure.what), cures=cures)
    if verdict is not None and verdict.refuted:
        coarse = speed(run, record, case, samples) if record.may_be_timed else None  # Rule V2.
        reason = printable(verdict.reason or verdict.text)
        return replace(row, standing=Standing.NOT_RIGHT, speed=coarse, reason=reason)
    measured = speed(run, record, case, samples)
    if measured is None:
        return replace(row, reason=without_times(run, record, case))
    if verdict is None:
        return replace(row, reason=NOT_JUDGED)  # Rule V1.
    if not target.library:
        return replace(row, reason=NO_VERSION)
    if not verdict.right:
        reason = printable(verdict.reason or verdict.text)
        return replace(row, standing=Standing.NOT_SHOWN, speed=measured, reason=reason)
    return replace(row, standing=Standing.RANKED, speed=measured)


def without_times(run: Run, record: TargetRecord, case: int) -> str:
    """Says why a target that did not fail has no times at a case."""
    if record.timing(case) is None:
        return NOT_REACHED if run.state != "done" else NO_TIMES
    return NOT_COUNTED if not run.counted_starts else NO_TIMES


def baseline(run: Run, rows: Sequence[Row], able: Sequence[Row]) -> tuple[Row | None, str]:
    """The planned baseline where it is one of those that can be; else the first of these, and why
    it is another. None where no row can be."""
    by_index = {row.target.index: row for row in able}
    base = pairing.baseline(run, by_index)
    planned = rows[run.plan.baseline]
    if base is None or base == planned.target.index:
        return by_index.get(planned.target.index), ""
    return by_index[base], f"{planned.target.name}, the planned baseline, is {planned.standing}"


def by_speed(run: Run, case: int, rows: Sequence[Row], base: Row | None) -> list[Row]:
    """Orders rows by their ratio to the baseline, which is paired; by p50 where they have none."""
    if base is None:
        return []
    ratios = against(run, case, base.target.index, [row.target.index for row in rows])

    def slowness(row: Row) -> float:
        ratio = ratios.get(row.target.index)
        if ratio is not None:
            return 1 / ratio.middle
        return row.speed.p50.middle / base.speed.p50.middle if row.speed and base.speed else 1.0

    return [replace(row, ratio=ratios.get(row.target.index)) for row in sorted(rows, key=slowness)]


def apart(ranked: Sequence[Row], base: Row | None) -> Iterator[str]:
    """Names the targets whose interval does not contain the quotient of the p50s beside it."""
    if base is None or base.speed is None:
        return
    for row in ranked:
        if row.speed and row.ratio and row.ratio.low and row.ratio.high:
            quotient = base.speed.p50.middle / row.speed.p50.middle
            if not row.ratio.low <= quotient <= row.ratio.high:
                yield row.target.name


def notes(run: Run, targets: Sequence[ShownTarget]) -> Iterator[Note]:
    """The warnings of the run, then those of each target."""
    model = run.plan.model
    for warning in run.warnings:
        yield Note(warning.kind, "", printable(warning.detail), advice(warning.kind, model))
    for target in targets:
        for warning in target.record.warnings if target.record else ():
            detail = printable(warning.detail)
            yield Note(warning.kind, target.name, detail, advice(warning.kind, model))


def copies(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """Says which copies the numbers contain, each text once with the targets that it is true of."""
    names: dict[str, list[str]] = {}
    for target in targets:
        if target.copies:
            names.setdefault(target.copies, []).append(target.name)
    for text, same in names.items():
        yield f"{', '.join(same)}: {text}"
