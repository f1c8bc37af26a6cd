"""The paths in a value of the command line are the same ones for whoever writes them otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolkit.cli import typed
from toolkit.cli.decisions import PathForm
from toolkit.records import privacy

VALUES = {
    "a path": (PathForm.PATH, "{}m.onnx"),
    "a source": (PathForm.SOURCE, "{}net.py:build(width=3)"),
    "an environment and a model": (
        PathForm.TARGET,
        "openvino:cpu,env={}ov,io=bound,model={}m.onnx",
    ),
    "an option of a plug-in": (PathForm.TARGET, "fake,lib={}x.so"),
}


@pytest.mark.parametrize(("form", "value"), VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("start", ["./", "~/", "/opt/"])
def test_what_is_made_whole_is_what_a_record_leaves_out(
    form: PathForm, value: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = {"./": str(tmp_path), "~/": os.path.expanduser("~"), "/opt/": "/opt"}[start]

    assert typed.whole(value.replace("{}", start), form) == value.replace("{}", f"{folder}/")
    assert typed.shown(value.replace("{}", start), form) == value.replace("{}", "")


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (PathForm.SOURCE, "package.module:Net(kind='a/b')"),
        (PathForm.TARGET, "onnxruntime@1.30.0:cpu,threads=2"),
        (PathForm.PATH, ""),
        (PathForm.PLAIN, "batch=1"),
    ],
)
def test_what_names_no_path_stays(form: PathForm, value: str) -> None:
    assert typed.whole(value, form) == typed.shown(value, form) == value


def test_a_record_and_a_command_name_one_target() -> None:
    assert privacy.target("fake,lib=/opt/x.so") == typed.shown(
        "fake,lib=/opt/x.so", PathForm.TARGET
    )
