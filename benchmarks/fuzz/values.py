"""Damages values of JSON, and their text."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

Json: TypeAlias = Any
Holder: TypeAlias = dict[str, Any] | list[Any]
Change: TypeAlias = Callable[[Holder, Any, Random], None]

NUMBERS = (
    0, -1, 1, -7, 99, 5, 1000, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e-300,
    5e-324, 1e9, 1e18, 1e300, math.nan, math.inf, -math.inf,
)  # fmt: skip
TEXTS = (
    "", " ", "x" * 20_000, "\x1b[31mred", "\x1b]0;owned\x07", "a\nb", "\r", "\u202eabc", "\0",
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!--", "'\"><img src=x>",
    "../../x", "/etc/passwd", "nan", "-inf", "`|*_[x](y)", "\ud800", "é" * 300, "batch 1",
    "float32", "wrong", "--help", "-o", "9" * 400, "{0}", "%s", "\ufeff",
)  # fmt: skip
OTHERS: tuple[Json, ...] = (None, True, False, [], {}, [[]], {"": None}, [None], "text", 1, 0.5, "")


def changed(value: Json, draw: Random, times: int) -> Json:
    """A copy of a value of JSON that is damaged in so many places."""
    whole = copy.deepcopy(value)
    for _ in range(times):
        if not whole:  # All that it held was dropped.
            break
        holder, key = _place(whole, draw)
        draw.choice(CHANGES)(holder, key, draw)
    return whole


def _place(whole: Json, draw: Random) -> tuple[Holder, Any]:
    """A random place in a value: each part of an object is as likely as another, however much it
    holds."""
    holder, key, value = whole, None, whole
    while isinstance(value, dict | list) and value and (key is None or draw.random() < 0.85):
        holder = value
        key = draw.choice([*value]) if isinstance(value, dict) else draw.randrange(len(value))
        value = value[key]
    return holder, key


def _to_same_kind(holder: Holder, key: Any, draw: Random) -> None:
    value = holder[key]
    if isinstance(value, bool):
        holder[key] = not value
    elif isinstance(value, int | float):
        holder[key] = draw.choice(NUMBERS)
    elif isinstance(value, str):
        holder[key] = draw.choice(TEXTS)
    elif isinstance(value, list):
        holder[key] = draw.choice(([], value[::-1], value[:1], value * 2, value[1:]))
    elif isinstance(value, dict):
        holder[key] = draw.choice(({}, dict([*value.items()][:1]), {"": 1}))
    else:
        holder[key] = draw.choice((*NUMBERS, *TEXTS))


def _slightly(holder: Holder, key: Any, draw: Random) -> None:
    value = holder[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        _to_same_kind(holder, key, draw)
    elif isinstance(value, int):
        holder[key] = draw.choice((value + 1, value - 1, 2 * value, value // 2, 0, 1))
    else:
        holder[key] = value * draw.choice((0.0, -1.0, 0.5, 3.0, 1e6, 1e-6))


def _to_another_kind(holder: Holder, key: Any, draw: Random) -> None:
    holder[key] = copy.deepcopy(draw.choice(OTHERS))


def _drop(holder: Holder, key: Any, draw: Random) -> None:
    del holder[key]


def _repeat(holder: Holder, key: Any, draw: Random) -> None:
    if isinstance(holder, list):
        times = draw.choice((1, 1, 2, 30))
        holder[key:key] = [copy.deepcopy(holder[key]) for _ in range(times)]
    else:
        holder[draw.choice((f"{key} ", f"{key}2", "", "é"))] = copy.deepcopy(holder[key])


def _rename(holder: Holder, key: Any, draw: Random) -> None:
    if isinstance(holder, dict):
        holder[draw.choice(TEXTS)] = holder.pop(key)
    else:
        holder.append(holder.pop(key))


def _swap(holder: Holder, key: Any, draw: Random) -> None:
    keys: list[Any] = [*holder] if isinstance(holder, dict) else [*range(len(holder))]
    other = draw.choice(keys)
    holder[key], holder[other] = holder[other], holder[key]


def _nest(holder: Holder, key: Any, draw: Random) -> None:
    for _ in range(draw.choice((1, 2, 300))):
        holder[key] = [holder[key]]


CHANGES: tuple[Change, ...] = (
    _to_same_kind, _to_same_kind, _to_same_kind, _to_same_kind, _slightly, _slightly, _slightly,
    _to_another_kind, _drop, _repeat, _repeat, _rename, _swap, _nest,
)  # fmt: skip

NUMBER = re.compile(r"(?<=[ \[:])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=[,\]}\n])")
KEY = re.compile(r'"[a-z_0-9]+": ')
TOKENS = ("1e999", "-1e999", "1e-999", "NaN", "Infinity", "-Infinity", "01", "0x10", "1.", "+1", "")


def encoded(value: Json, draw: Random) -> bytes:
    """The bytes of a value; one in eight times they are damaged, too."""
    text = json.dumps(value)
    return text.encode() if draw.random() < 0.875 else draw.choice(DAMAGES)(text, draw)


def _other_number(text: str, draw: Random) -> bytes:
    found = [*NUMBER.finditer(text)]
    if not found:
        return text.encode()
    at = draw.choice(found)
    return f"{text[: at.start()]}{draw.choice(TOKENS)}{text[at.end() :]}".encode()


def _key_twice(text: str, draw: Random) -> bytes:
    found = [*KEY.finditer(text)]
    if not found:
        return text.encode()
    at = draw.choice(found)
    value = draw.choice(("null", "0", '"x"', "[]", "{}"))
    return f"{text[: at.start()]}{at[0]}{value}, {text[at.start() :]}".encode()


def _cut(text: str, draw: Random) -> bytes:
    return text[: draw.randrange(len(text) + 1)].encode()


def _flipped(text: str, draw: Random) -> bytes:
    data = bytearray(text.encode())
    for _ in range(draw.choice((1, 4))):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data)


def _framed(text: str, draw: Random) -> bytes:
    return draw.choice(
        (
            b"\xef\xbb\xbf" + text.encode(),
            text.encode("utf-16"),
            text.encode("utf-32-be"),
            text.encode() + b"\0",
            text.encode() + text.encode(),
            b"\n" * 3 + text.encode(),
            b"[" * 200_000,
            b'{"a":' * 100_000,
            text.encode() + b"," + b"[" * 5_000,
            b"",
        )
    )


DAMAGES: tuple[Callable[[str, Random], bytes], ...] = (
    _other_number, _other_number, _key_twice, _cut, _flipped, _flipped, _framed,
)  # fmt: skip
