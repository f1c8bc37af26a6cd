from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.machine import describe
from toolkit.machine.features import NAMES, difference, features, flags, saturates, summary

AVX2 = "processor : 0\nmodel name : A\nflags : fpu avx2 fma avx sse4_2\n\nprocessor : 1\n"
ARM = "processor : 0\nFeatures : fp asimd asimddp i8mm\n"


def cpuinfo(folder: Path, text: str) -> Path:
    (folder / "cpuinfo").write_text(text)
    return folder


def test_the_features_are_the_known_ones_in_their_order(tmp_path: Path) -> None:
    assert features(cpuinfo(tmp_path, AVX2)) == ["sse4_2", "avx", "fma", "avx2"]


def test_an_arm_processor_tells_its_features_too(tmp_path: Path) -> None:
    assert features(cpuinfo(tmp_path, ARM)) == ["asimd", "asimddp", "i8mm"]


def test_a_machine_that_does_not_tell_has_none(tmp_path: Path) -> None:
    assert features(tmp_path) == []


def test_the_record_of_this_machine_holds_them() -> None:
    described = describe.describe()

    assert described.features == [name for name in NAMES if name in flags()]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["avx", "avx2", "fma"], True),
        (["avx2", "avx512f", "avx512bw"], True),
        (["avx2", "avx512_vnni"], False),
        (["avx2", "avx_vnni"], False),
        (["asimd"], False),
        ([], False),
    ],
    ids=["AVX2", "AVX-512 without VNNI", "VNNI", "AVX-VNNI", "Arm", "not known"],
)
def test_byte_products_saturate_without_vnni_alone(names: list[str], expected: bool) -> None:
    assert saturates(names) is expected


def test_two_processors_are_told_apart_by_what_only_one_has() -> None:
    assert difference(["avx2", "avx512_vnni"], ["avx2", "amx_int8"]) == (
        "only the first has avx512_vnni; only the second has amx_int8"
    )
    assert difference(["avx2"], ["avx2"]) == ""


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["avx2", "avx512f", "avx512_vnni"], "AVX-512 with VNNI"),
        (["avx2"], "AVX2 without VNNI"),
        (["asimd"], ""),
    ],
)
def test_a_processor_in_a_few_words(names: list[str], text: str) -> None:
    assert summary(names) == text
