"""Names the instruction sets of the processor on which speed or answers depend.

An int8 file can be right on one processor and wrong on the next. To multiply unsigned by signed
bytes, x86 processors before VNNI have VPMADDUBSW alone, which adds two products in 16 bits and
saturates at 32,767: 255 · 127 + 255 · 127 = 64,770 does not fit. VNNI adds four in 32 bits.
ONNX Runtime, oneDNN (in OpenVINO and PyTorch) and others take the one that the processor has.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from toolkit.machine.proc import PROC, lines

NAMES = (
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx_vnni",
    "avx_vnni_int8",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimd",
    "asimddp",
    "asimdhp",
    "i8mm",
    "bf16",
    "sve",
)
"""The kernel's names of instruction sets for which runtimes have code; from neon on they
are Arm's."""

WIDE_SUMS = ("avx_vnni", "avx_vnni_int8", "avx512_vnni", "amx_int8")
"""Any of these adds products of bytes in 32 bits."""

BYTE_PRODUCTS = "avx2"
"""Runtimes use VPMADDUBSW on 256 bits from here on."""


WIDTHS = {"avx512f": "AVX-512", "avx2": "AVX2"}
"""The instruction sets for people, the widest first."""


def flags(proc: Path = PROC) -> frozenset[str]:
    """All that /proc/cpuinfo says the first processor can do; empty where it does not say."""
    for line in lines(proc / "cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):  # On x86, on Arm.
            return frozenset(value.split())
    return frozenset()


def features(proc: Path = PROC) -> list[str]:
    """Those of `NAMES` that this processor has, in their order."""
    present = flags(proc)
    return [name for name in NAMES if name in present]


def saturates(names: Collection[str]) -> bool:
    """True for a processor whose runtimes add products of unsigned and signed bytes in 16 bits: an
    int8 file may be wrong on it that is right on another."""
    return BYTE_PRODUCTS in names and not set(WIDE_SUMS) & set(names)


def summary(names: Collection[str]) -> str:
    """'AVX-512 with VNNI', 'AVX2 without VNNI'; empty for other processors."""
    width = next((word for name, word in WIDTHS.items() if name in names), "")
    return f"{width} {'without' if saturates(names) else 'with'} VNNI" if width else ""


def difference(first: Collection[str], second: Collection[str]) -> str:
    """Says in words which features only one of two processors has; empty where none differ."""
    only = [sorted(set(first) - set(second)), sorted(set(second) - set(first))]
    parts = [
        f"only {which} has {', '.join(names)}"
        for which, names in zip(("the first", "the second"), only, strict=True)
        if names
    ]
    return "; ".join(parts)
