"""The options of labelled data, which `check`, `bench` and `compare` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.values import DURATION

if TYPE_CHECKING:
    from toolkit.data.request import DataRequest

DATA = [
    click.option(
        "--data",
        "examples",
        metavar="DATA",
        help="Labelled examples: a folder of class folders, .npz, .csv, .parquet, or FILE.py:NAME, "
        "whose code is run.",
    ),
    click.option(
        "--labels", metavar="NAME", help="The array or column of the labels; default: labels."
    ),
    click.option(
        "--preprocess",
        metavar="FILE.py:NAME",
        help="Your function from one example to the inputs; its code is run.",
    ),
    click.option(
        "--metric",
        "metrics",
        multiple=True,
        metavar="M",
        help="accuracy, top5, f1, auc, map, rmse, perplexity, or FILE.py:NAME; repeatable.",
    ),
]
DATA_TIME = click.option("--time", "time", type=DURATION, help="The ceiling on the time of --data.")


def data_of(given: dict[str, Any]) -> DataRequest | None:
    """Returns the labelled data that --data names; None: none is named."""
    from toolkit.data.request import DataRequest

    if given["examples"] is None:
        for name in ("labels", "preprocess", "metrics", "drop"):
            if given.get(name):
                option = {"metrics": "--metric", "drop": "--fail-if-drop"}.get(name, f"--{name}")
                raise click.UsageError(f"{option} needs the --data that it is about")
        return None
    return DataRequest(
        name=given["examples"],
        labels=given["labels"],
        preprocess=given["preprocess"],
        metrics=given["metrics"],
        drop=given.get("drop"),
        time=given.get("time"),
        seed=given["seed"],
    )
