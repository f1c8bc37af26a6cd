"""Runtimes → where each is and what it runs on; recipes → environments that are made for them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.engine import probing
from toolkit.engine.probing import ProbeResult
from toolkit.runtimes import listing
from toolkit.workers import environments, managed, recipes
from toolkit.workers.managed import Installed
from toolkit.workers.recipes import Recipe

Watch = Callable[[float | None, str], None]
"""Told the share done and what is being done."""


def look(watch: Watch = lambda share, text: None) -> list[ProbeResult]:
    """Looks for every runtime, and which of its providers run a model here."""
    managed.sweep()
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        worker_code = environments.lay(
            Path(work) / "rooms", [listing.find(name) for name in listing.names()]
        )
        return probing.probe(probing.installations(), worker_code, watch)


def for_the_cpu() -> list[Recipe]:
    """The environments of all runtimes that run on the CPU and are not in toolkit's own."""
    return [recipe for recipe in recipes.known().values() if _is_wanted(recipe)]


def _is_wanted(recipe: Recipe) -> bool:
    listed, provider = listing.find(recipe.runtime), recipe.providers[0]
    runtime = listing.facts(listed)
    return (
        runtime is not None
        and listing.provider(listed, provider).accelerator == "none"
        and managed.installed_here(runtime, provider) is None
    )


def install(
    wanted: Sequence[Recipe], done: Callable[[Installed, bool], None], watch: Watch
) -> list[Installed]:
    """Makes environments, one after the other, then removes those of older locks; returns these.

    `done` is told each that was made, and whether it was there. Raises EnvironmentFault where one
    cannot be made; those before it stay.
    """
    for number, recipe in enumerate(wanted):
        watch(number / len(wanted), f"{recipe.name} {recipe.version}")
        done(*managed.install(recipe))
    return managed.prune()
