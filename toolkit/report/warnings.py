"""Explains each kind of warning, and says what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.records.schema import Model, WarningKind


@dataclass(frozen=True)
class Advice:
    """A sentence on what a warning means, and one on what to do."""

    means: str
    do: str


ADVICE: dict[WarningKind, Advice] = {
    WarningKind.NOT_LOOKED_AT: Advice(
        "Some of the model, or some of its sizes, was not judged.",
        "Read the verdicts with that in mind: toolkit check says more.",
    ),
    WarningKind.RESUMED: Advice(
        "The run was interrupted and went on later; its time is that of all its parts, without "
        "the pause.",
        "Read the ratios as always, since each is of one process start; hold a latency before and "
        "after against each other only if the machine was in one state.",
    ),
    WarningKind.MADE_UP: Advice(
        "The fake runtime runs nothing: its times are what its options say.",
        "Leave it out of a comparison that somebody is to believe.",
    ),
    WarningKind.NEVER_STEADY: Advice(
        "The latency had not settled when the measurement began.",
        "Give the run more time (--time 120s), or look for a model that compiles while it runs.",
    ),
    WarningKind.MORE_THREADS: Advice(
        "More threads worked than were asked for, so this row used more of the machine.",
        "Set the thread switch of the runtime as an option of the target, or use --threads all.",
    ),
    WarningKind.FEWER_THREADS: Advice(
        "Fewer threads worked than were asked for: the model gives them too little to do, or the "
        "runtime has no more.",
        "Read the row as one of so few threads; a larger batch may use them all.",
    ),
    WarningKind.LITTLE_MEMORY: Advice(
        "The targets that are alive together hold most of this machine's memory.",
        "Measure fewer targets in one run, or use a machine with more memory.",
    ),
    WarningKind.LEFT_CORE: Advice(
        "A thread left the core that it was pinned to; such blocks do not count.",
        "Turn off the pinning of the runtime itself, and run again.",
    ),
    WarningKind.ONE_CORE: Advice(
        "No core is left for the parent: it wakes up on one of the workers' between two blocks.",
        "Give one thread less (--threads), or allow a core more: a larger CPU limit of the "
        "container, or a wider taskset.",
    ),
    WarningKind.MIXED_VERSIONS: Advice(
        "The rows come from different versions of one runtime, so their ratio mixes versions.",
        "Install one version that serves all providers, or read the ratio as one of versions too.",
    ),
    WarningKind.TIMER_SHARE: Advice(
        "The clock itself is a visible part of this latency; it is not subtracted.",
        "Time a larger batch (--batch 64), or read the latency as an upper bound.",
    ),
    WarningKind.BINDING_SHARE: Advice(
        "The targets go through different Python bindings, a visible part of so short a call.",
        "Time a larger batch (--batch 64), or call the runtimes from C to compare them alone.",
    ),
    WarningKind.PLACEMENT: Advice(
        "Some nodes did not run on the provider that was asked for.",
        "Look at the operators named: another opset or a change of the model may move them.",
    ),
    WarningKind.NOISY: Advice(
        "Other work ran on this machine meanwhile; the intervals are wider for it.",
        "Run again when the machine is quiet: toolkit doctor says what is busy.",
    ),
    WarningKind.STOPPED_EARLY: Advice(
        "The run ended when every interval was as narrow as asked, before its time was up.",
        "Ask for more to find smaller differences: --precision 0.5%.",
    ),
    WarningKind.NO_INTERVAL: Advice(
        "An interval needs at least 6 process starts; with fewer the numbers stand alone.",
        "Give it more time (--time 60s), and leave --quick away.",
    ),
    WarningKind.TOO_MANY_PAIRS: Advice(
        "So few process starts cannot show any of so many pairs to differ, however far apart.",
        "Give it more time (--time 120s), or measure fewer targets in one run.",
    ),
    WarningKind.WIDE: Advice(
        "The time was up before the intervals were as narrow as asked. They hold all the same.",
        "Give it more time (--time 120s), or run it on a quieter machine.",
    ),
    WarningKind.TRY_THREADS: Advice(
        "A call takes milliseconds on one thread: more threads may change who is fastest.",
        "Compare both in one run: --threads 1,all.",
    ),
    WarningKind.LATE_WARM_UP: Advice(
        "The first third of a process start was slower than the last: it still warmed up.",
        "Give the run more time (--time 120s); read the cold start beside the latency.",
    ),
    WarningKind.UNJUDGED: Advice(
        "In a process start the outputs of the timed calls were not right; its times do not count.",
        "Run toolkit check with this target, and report it to the runtime's authors.",
    ),
    WarningKind.FEWER_SHAPES: Advice(
        "The runtime takes fewer shapes than the model, so fewer of its answers were judged.",
        "Use it at the shapes that are named, and at no others.",
    ),
    WarningKind.DISPUTED: Advice(
        "Runtimes that have no code in common agree with each other against the oracle.",
        "Give the PyTorch source (--source), and look at the operators of the model.",
    ),
    WarningKind.SATURATES: Advice(
        "This processor has no VNNI: runtimes add two products of bytes in 16 bits, which is too "
        "narrow for some of these weights. The same file can be right on a processor with VNNI.",
        "Quantize with reduce_range=True or to unsigned weights, run onnxruntime with "
        "--target onnxruntime,int8=exact, or measure where the model will run.",
    ),
}
"""Every WarningKind stands here; a test holds that."""
OF_FIXED_SHAPES: dict[WarningKind, str] = {
    WarningKind.FEWER_THREADS: "Read the row as one of so few threads.",
    WarningKind.TIMER_SHARE: "Read the latency as an upper bound.",
    WarningKind.BINDING_SHARE: "Call the runtimes from C to compare them alone.",
}
"""What to do where the file takes no larger batch."""


def advice(kind: WarningKind, model: Model) -> Advice:
    """The advice on a warning that can be followed with this model."""
    shapes = [tensor.shape for tensor in model.inputs]
    is_fixed = all(shape is not None and all(isinstance(n, int) for n in shape) for shape in shapes)
    known = ADVICE[kind]
    return Advice(known.means, OF_FIXED_SHAPES.get(kind, known.do)) if is_fixed else known
