"""A proof for which this machine lacks something is told as not made, with the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import needs, small
from toolkit.deployment import headers
from toolkit.pipelines.deploy import deploy

pytestmark = pytest.mark.process


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small.layer(tmp_path / "layer.onnx")


@pytest.mark.parametrize(
    ("name", "what", "cure"),
    [
        ("cpp", "there is no cmake on the PATH", "apt install cmake g++"),
        ("node", "there is no node on the PATH", "apt install nodejs npm    brings it"),
    ],
    ids=["cpp", "node"],
)
def test_a_missing_program_is_no_proof(
    name: str, what: str, cure: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    (done,) = deploy(model, [name], tmp_path / "out")

    assert (done.proof.outcome, done.proof.what) == ("not made", what)
    assert done.proof.cures == (cure,)
    assert done.folder == tmp_path / "out" / f"{name}-unproven"
    assert f"**Not proven.** The client was not run: {what}." in (
        done.folder / "README.md"
    ).read_text("utf-8")


def test_a_page_without_npm_is_not_made_at_all(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to put into the folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

    (done,) = deploy(model, ["web"], tmp_path / "out")

    assert (done.folder, done.proof.outcome) == (None, "not made")
    assert done.proof.what == "there is no npm on the PATH"
    assert not (tmp_path / "out").exists()


def test_without_headers_the_proof_of_cpp_is_not_made(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("cmake", "g++"):
        needs.program(program)
    monkeypatch.setattr(headers, "SOURCES", tmp_path)
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

    (done,) = deploy(model, ["cpp"], tmp_path / "out")

    assert done.proof.outcome == "not made"
    assert done.proof.what == (
        "CMake finds no onnxruntime here, and its headers cannot be had: "
        "apt has no archive of Debian here"
    )
    assert any("libonnxruntime-dev" in cure for cure in done.proof.cures)
