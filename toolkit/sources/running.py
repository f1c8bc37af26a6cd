"""Runs a function of the user's, whose errors are told in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.errors import InputError, demand_room, typed_line
from toolkit.sources import lines


def result(name: str, function: Callable[[], Any]) -> Any:
    """The result of the user's function. Raises InputError, with the line, where it raises."""
    try:
        return function()
    except Exception as error:  # The user's code, which may raise anything.
        demand_room(error)
        line = lines.of(error)
        raise InputError(
            f"{name} raised {typed_line(error)}", *([str(line)] if line else [])
        ) from error
