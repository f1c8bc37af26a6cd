"""Says at which sizes of its dynamic dimensions a file holds, where it does not hold at all."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.feeds import sizes
from toolkit.feeds.sizes import Dims

ENOUGH = 3
"""Sizes at which a file must hold before those that it refuses count as being beyond a limit."""


@dataclass(frozen=True)
class SizesHeld:
    """The sizes at which a file was judged, and those that it refuses though it declares them."""

    judged: tuple[Dims, ...] = ()
    refused: tuple[Dims, ...] = ()
    stated: tuple[str, ...] = ()
    """Dimensions whose sizes the user stated: at others nobody asked."""

    @property
    def told(self) -> str:
        """A line for the summary; empty where the file holds wherever it was tried."""
        if not self.refused:
            return ""
        names = "; ".join(sizes.text(dims) for dims in self.refused)
        whole = len(self.judged) + len(self.refused)
        return (
            f"not judged at {len(self.refused)} of {whole} sizes, which the model refuses: {names}"
        )

    @property
    def limit(self) -> tuple[str, int] | None:
        """The dimension and its last size that holds, where the file holds at three sizes or more
        and all that it refuses lie beyond that one; None elsewhere."""
        if len(self.judged) < ENOUGH or not self.refused:
            return None
        for name in self.refused[0]:
            held = [dims[name] for dims in self.judged]
            for last, beyond in ((max(held), 1), (min(held), -1)):
                if all((dims[name] - last) * beyond > 0 for dims in self.refused):
                    return name, last
        return None

    @property
    def fault(self) -> str:
        """The reason why the file is not what it declares; empty: it is, or the user stated sizes
        for every dimension in which it is not."""
        if not self.refused or self.limit is not None or self._is_stated():
            return ""
        return f"the file declares sizes at which it does not run: {self.told}"

    @property
    def cures(self) -> tuple[str, ...]:
        """The option that states where the file holds, to be pasted."""
        traced = self.judged[0] if self.judged else {}
        if self.limit is not None:
            name, last = self.limit
            return (f"--dim {name}={last}    judges at the last size that holds",)
        changed = dict.fromkeys(name for dims in self.refused for name in self._changed(dims))
        return tuple(f"--dim {name}={traced[name]}    judges at that size" for name in changed)

    def _is_stated(self) -> bool:
        return all(self._changed(dims) <= {*self.stated} for dims in self.refused)

    def _changed(self, dims: Dims) -> set[str]:
        """The dimensions in which a refused size differs from the first that was judged."""
        first = self.judged[0]
        return {name for name, size in dims.items() if size != first[name]}
