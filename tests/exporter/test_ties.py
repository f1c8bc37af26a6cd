"""A file that chooses otherwise among equals is the module's function, and each planted fault in
the same file is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from onnx import ModelProto
from torch import Tensor, nn

from tests.exporter import models, proofs
from toolkit.exporter import convert
from toolkit.exporter.proof import Contract, ExportProof
from toolkit.onnxfiles import modelfile
from toolkit.oracle.sizesweep import Sizes
from toolkit.sources import inputs

pytestmark = pytest.mark.export

INPUT = "x:float32[1,8]"
NEXT = 5e-10
"""A part of a constant that its float32 in the file does not have."""
FACTORS = (0.1, 0.1 + NEXT, 0.09, 0.09 + NEXT, 0.08, 0.07)
"""What the score is multiplied by for each box: the second is the best in the module, and the equal
of the first in the file; so is the fourth of the third."""
Corners: TypeAlias = Sequence[tuple[float, ...]]
CORNERS: Corners = [
    (0.0, 0.0, 2.0, 2.0),
    (10.0, 0.0, 12.0, 2.0),
    # Rivals: one of them covers the other.
    (20.0, 0.0, 22.0, 2.0),
    (20.0, 0.0, 22.0, 1.8),
    # The second covers a little more than half of the first in the module, and half in the file.
    (30.0, 0.0, 32.0, 2.0),
    (30.0, 0.0, 32.0, 1.0 + NEXT),
]


class Detector(nn.Module):
    """Boxes, scores and labels of the boxes that are kept."""

    def __init__(
        self,
        factors: tuple[float, ...] = FACTORS,
        corners: Corners = CORNERS,
        overlap: float = 0.5,
        shift: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.score, self.rating = nn.Linear(8, 1), nn.Linear(8, 6 * 4)
        self.factors, self.corners = factors, corners
        self.overlap, self.shift = overlap, shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        score = torch.sigmoid(self.score(x))[0, 0]
        scores = torch.stack([score * factor for factor in self.factors])
        boxes = torch.stack(
            [torch.stack([(1 + score) * each for each in box]) for box in self.corners]
        )
        labels = self.rating(x).reshape(6, 4).argmax(-1)
        kept = self.kept(boxes, scores)
        return boxes[kept], scores[kept], labels[kept] + self.shift

    def kept(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """The boxes that no better one covers, the best first."""
        if torch.compiler.is_exporting():
            count: int = (scores > 0).sum().item()  # type: ignore[assignment]
            limits = (torch.tensor([6]), torch.tensor([0.5]))
            selected: Tensor = torch.onnx.ops.symbolic(
                "NonMaxSuppression",
                (boxes[None], scores[None, None], *limits),
                dtype=torch.int64,
                shape=(count, 3),
            )
            return selected[:, 2]
        kept: list[Tensor] = []
        for box in scores.argsort(descending=True, stable=True):
            if not any(overlap(boxes[box], boxes[other]) > self.overlap for other in kept):
                kept.append(box)
        return torch.stack(kept)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """The area that two boxes share over that of both together."""
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    shared = (high - low).clamp(min=0).prod()
    return shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    return exported(tmp_path_factory.mktemp("detector"), Detector())


def exported(folder: Path, module: nn.Module) -> ModelProto:
    """What torch makes of a detector."""
    convert.write(models.converted(module.eval(), INPUT).model, folder / "made.onnx")
    return modelfile.load(folder / "made.onnx")


def proof(folder: Path, module: nn.Module, file: ModelProto) -> ExportProof:
    outputs = tuple(output.name for output in file.graph.output)
    contract = Contract(tuple(each.spec for each in inputs.parse_all([INPUT])), outputs)
    return proofs.proof(folder, module.eval(), file, contract, Sizes({}))


def test_a_file_that_chooses_otherwise_among_equals_holds(tmp_path: Path, file: ModelProto) -> None:
    shown = proof(tmp_path, Detector(), file)

    structure = proofs.step(shown, "structure")
    assert not shown.fails, structure.details
    assert structure.says == "same function; 3 gathered by another choice among equals"
    assert structure.figure is not None
    assert structure.figure < 1e-6


def changed(place: int, factor: float) -> tuple[float, ...]:
    return (*FACTORS[:place], factor, *FACTORS[place + 1 :])


def moved(corners: Corners) -> Corners:
    """The first box begins a little later: 3e-6 of the largest corner."""
    return [(0.0001, 0.0, 2.0, 2.0), *corners[1:]]


FAULTS: dict[str, Callable[[], nn.Module]] = {
    "a better box": lambda: Detector(factors=changed(5, 0.2)),
    "a box that is a little better": lambda: Detector(factors=changed(1, 0.1001)),
    "another limit": lambda: Detector(overlap=0.95),
    "another box": lambda: Detector(corners=moved(CORNERS)),
    "other labels": lambda: Detector(shift=1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_another_function_is_found_among_equals(
    tmp_path: Path, file: ModelProto, fault: Callable[[], nn.Module]
) -> None:
    shown = proof(tmp_path, fault(), file)

    assert shown.fails
    assert proofs.step(shown, "structure").says == "another function"


def test_float32_that_chooses_otherwise_sets_no_noise(tmp_path: Path) -> None:
    apart = [*CORNERS[:5], (30.0, 0.0, 32.0, 0.5)]
    file = exported(tmp_path, Detector(corners=apart))

    # In float32 the first two boxes stand in each other's places: as noise that would hide all.
    assert not proof(tmp_path, Detector(corners=apart), file).fails
    assert proof(tmp_path, Detector(corners=moved(apart)), file).fails
