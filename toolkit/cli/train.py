"""`toolkit train`: trains the reference model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit import units
from toolkit.cli import screen

if TYPE_CHECKING:
    from toolkit.pipelines.train import Trained
    from toolkit.sources.reference import Data, Epoch

EXAMPLES = """\b
Examples:
  toolkit train                  learns from scikit-learn's digits, in a few seconds
  toolkit train --data random    the tutorial's random data
  toolkit train --force          overwrites models/mlp/mlp.safetensors with other weights
"""


@click.command("train", epilog=EXAMPLES)
@click.option(
    "--data",
    type=click.Choice(["digits", "random"]),
    default="digits",
    show_default=True,
    help="The data to learn from.",
)
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    default="models/mlp/mlp.safetensors",
    show_default=True,
    help="The file of the weights.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that holds other weights.")
def command(data: Data, out: Path, force: bool) -> None:
    """Train the reference model: 64-128-2 with a ReLU, two labels for each handwritten digit."""
    show(data, out, force=force)


def show(data: Data, out: Path, *, force: bool) -> Trained:
    """Trains under a progress line, and prints the outcome."""
    started = time.perf_counter()
    with screen.progress("train") as draw:
        draw(None, "loading PyTorch and the data")
        from toolkit.pipelines.train import train

        trained = train(
            out,
            data=data,
            force=force,
            watch=lambda epoch: draw(epoch.number / epoch.of, epoch_line(epoch)),
        )
    seconds = time.perf_counter() - started
    screen.line(
        "train",
        f"{data}: {trained.learned_from:,} to learn from, {trained.held_out:,} held out"
        f" · 64-128-2, {trained.parameters:,} weights",
    )
    screen.line("", f"{epoch_line(trained.epochs[-1]):<70}{units.duration(seconds, 2)}")
    screen.line("", outcome_line(trained))
    return trained


def epoch_line(epoch: Epoch) -> str:
    """Returns 'epoch 10/10   loss 0.081   odd 97.8 %   five or more 97.2 %'."""
    from toolkit.sources.reference import LABELS

    labels = "   ".join(
        f"{label} {units.percent(share, 3)}"
        for label, share in zip(LABELS, epoch.accuracy, strict=True)
    )
    return f"epoch {epoch.number}/{epoch.of}   loss {units.significant(epoch.loss, 2)}   {labels}"


def outcome_line(trained: Trained) -> str:
    """Says what became of the file of the weights."""
    if trained.outcome == "kept":
        return (
            f"{trained.path} holds other weights: kept, and used from here on"
            " (--force overwrites it)"
        )
    same = trained.outcome == "same"
    return f"{trained.path} {'holds these weights already' if same else 'written'}"
