from __future__ import annotations

import pytest

from toolkit.doctor import processor
from toolkit.doctor.finding import Severity
from toolkit.machine.features import features

AVX2 = ["sse4_2", "avx", "f16c", "fma", "avx2"]


def test_a_processor_without_vnni_is_a_note_with_what_to_do() -> None:
    (finding,) = processor.check(AVX2)

    assert finding.severity is Severity.NOTE
    assert finding.what == (
        "no VNNI (sse4_2, avx, f16c, fma, avx2): int8 files with weights of 8 bits may be wrong "
        "here and right elsewhere"
    )
    assert finding.cures[0].startswith("toolkit check MODEL.onnx")


@pytest.mark.parametrize("more", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_one_with_vnni_is_fine(more: str) -> None:
    (finding,) = processor.check([*AVX2, more])

    assert finding.severity is Severity.OK
    assert more in finding.what


@pytest.mark.parametrize("names", [[], ["neon", "asimd"], ["sse4_2"]], ids=["?", "arm", "old"])
def test_one_that_is_not_known_to_saturate_is_not_blamed(names: list[str]) -> None:
    assert [finding.severity for finding in processor.check(names)] == [Severity.OK]


def test_this_processor_is_told() -> None:
    assert len(processor.check(features())) == 1
