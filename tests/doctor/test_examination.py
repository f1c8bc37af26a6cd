from __future__ import annotations

import pytest

from tests.doctor.conftest import Planted
from toolkit.doctor.examination import examine
from toolkit.doctor.finding import Severity

pytestmark = pytest.mark.process


def test_faults_come_first_and_every_topic_is_told(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA")
    findings = examine(str(planted.folder))
    ranks = [list(Severity).index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks)
    assert [f.topic for f in findings if f.severity is Severity.FAULT] == ["numpy", "onnxruntime"]
    assert {finding.topic for finding in findings} == {
        "python", "numpy", "onnxruntime", "cuda", "cores", "governor", "clock", "space", "steal",
        "load", "processor",
    }  # fmt: skip


def test_all_that_is_not_well_has_a_cure(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    (planted.site / "onnxruntime/__init__.py").unlink()
    ill = [f for f in examine(str(planted.folder)) if f.severity is not Severity.OK]
    assert ill
    assert all(finding.cures for finding in ill)
    assert not any("\n" in text for f in ill for text in (f.what, *f.cures))


def test_our_own_environment_has_no_fault() -> None:
    faults = [finding for finding in examine() if finding.severity is Severity.FAULT]
    assert faults == []
