"""The base of everything that a record holds."""

from __future__ import annotations

from msgspec import Struct


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a record: it cannot be changed, and a field that it does not know is an error."""
