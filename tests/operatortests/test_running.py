"""Each test reaches a target as a file of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolkit.errors import TargetError
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.operatortests import cases, running
from toolkit.operatortests.cases import OperatorTest
from toolkit.operatortests.outcome import OutcomeLedger
from toolkit.operatortests.running import Answers, ServedTarget
from toolkit.runtimes import listing
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Launcher

pytestmark = pytest.mark.process


@dataclass
class Noting(ServedTarget):
    """Notes the files that it is given, and refuses them."""

    files: list[Path] = field(default_factory=list)

    def version(self) -> str:
        return "1"

    def answers(self, file: ModelFile, case: OperatorTest) -> Answers:
        assert file.path.is_file()
        self.files.append(file.path)
        raise TargetError("noted")


def test_no_test_stands_where_another_one_stood(tmp_path: Path) -> None:
    """tinygrad refuses a file that is larger than the one it has read there before."""
    launcher = Launcher(environments.lay(tmp_path / "rooms", []), Patience())
    spec = WorkerSpec(listing.find("fake"), environments.find(None), "cpu", {})
    target = Noting("fake:cpu", spec, launcher)
    some = cases.cases(["Relu", "Floor"])

    running.run(some, [target], OutcomeLedger(tmp_path / "ledger.jsonl"), lambda share, text: None)

    assert len({*target.files}) == len(target.files) == len(some) > 2
    assert {file.name for file in target.files} == {"case.onnx"}
    assert not any(file.parent.exists() for file in target.files)
