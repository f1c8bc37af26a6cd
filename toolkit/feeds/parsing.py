"""The sizes that a user states on the command line: --dim, --batch and --shape."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.errors import InputError


def dims(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The sizes of each dimension in the values of `--dim`.

    A size without a name belongs to the name before it. Raises InputError for a text that states
    no size, or no name.

    >>> dims(["batch=1,8,seq=128"])
    {'batch': (1, 8), 'seq': (128,)}
    """
    stated: dict[str, list[int]] = {}
    for text in texts:
        name = ""
        for part in text.split(","):
            key, equals, value = part.rpartition("=")
            name = key.strip() if equals else name
            if not name:
                raise InputError(f"--dim {text}: {part!r} has no name", "--dim batch=1,8,seq=128")
            stated.setdefault(name, []).append(_size(value, f"--dim {text}"))
    return {name: tuple(dict.fromkeys(sizes)) for name, sizes in stated.items()}


def batch(text: str) -> tuple[int, ...]:
    """The sizes in the value of `--batch`, each once. Raises InputError for what is no size.

    >>> batch("1,8")
    (1, 8)
    """
    return tuple(dict.fromkeys(_size(part, f"--batch {text}") for part in text.split(",")))


def shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The shape of each input in the values of `--shape`; an input without dimensions is `name=`.

    Raises InputError for a text without a name and for what is no size.

    >>> shapes(["input=1x3x224x224", "scale="])
    {'input': (1, 3, 224, 224), 'scale': ()}
    """
    stated = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise InputError(f"--shape {text} has no name", "--shape input=1x3x224x224")
        sizes = value.split("x") if value else []
        stated[name] = tuple(_size(size, f"--shape {text}") for size in sizes)
    return stated


def _size(text: str, where: str) -> int:
    # isascii, since isdecimal and int take the digits of every script: '٣' is more likely a slip.
    if not text.strip().isdecimal() or not text.isascii() or int(text) < 1:
        raise InputError(
            f"{where}: {text.strip()!r} is no size; a size is a whole number from 1 on"
        )
    return int(text)
