"""Ships a C++17 program with ONNX Runtime, built by CMake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import headers, operators, outputs, programs
from toolkit.deployment.base import ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.errors import EnvironmentFault
from toolkit.runtimes.onnxruntime import OnnxRuntime
from toolkit.sbom import BillEntry

CURES = (
    "apt install libonnxruntime-dev    on Debian 13",
    "onnxruntime_ROOT=FOLDER toolkit deploy …    takes a release of ONNX Runtime",
)


class OnnxRuntimeCpp:
    """A client of ONNX Runtime's C++ interface."""

    name: ClassVar[str] = "cpp"
    title: ClassVar[str] = "ONNX Runtime in C++"
    form: ClassVar[str] = ""
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = operators.ONNXRUNTIME
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = None
    templates: ClassVar[tuple[str, ...]] = ("cpp",)
    files: ClassVar[Mapping[str, str]] = {
        "model.hpp": "the class `Model`, which a program of yours takes",
        "npy.hpp": "arrays as .npy files",
        "client.cpp": "the command line around them",
        "CMakeLists.txt": "how it is built",
    }

    def fill(self, folder: Path, payload: Payload) -> None:
        """Adds nothing: the templates are all."""

    def licences(self) -> list[Licence]:
        return [Licence("onnxruntime, 1.21 or newer", OnnxRuntime.licence)]

    def entries(self) -> list[BillEntry]:
        # Whatever release CMake finds; nothing here is installed for the user.
        licence = OnnxRuntime.licence
        return [BillEntry("generic", "onnxruntime", licence=licence, was_hashed=False)]

    def run(self, workspace: Workspace) -> ClientRun:
        build, results = workspace.scratch / "build", workspace.scratch / "results"
        _configure(workspace.copy, build)
        home = workspace.home
        programs.run([programs.find("cmake"), "--build", build], workspace.copy, home)
        printed = programs.run([build / "client", "--output", results], workspace.copy, home)
        versions = {"onnxruntime": _after("onnxruntime ", printed), **_build_versions(build)}
        arrays = outputs.read(results, workspace.payload)
        return ClientRun(arrays, versions, "after a build by CMake")


def _configure(folder: Path, build: Path) -> None:
    """Configures with the ONNX Runtime that CMake finds by itself, else with fetched headers.

    Raises EnvironmentFault where neither is to be had.
    """
    cmake = programs.find("cmake", "apt install cmake g++")
    command: list[str | Path] = [cmake, "-S", folder, "-B", build]
    try:
        programs.prepare(command, folder)
        return
    except EnvironmentFault:
        pass  # No onnxruntime, or no compiler: a missing compiler fails the second try too.
    try:
        prefix = headers.prefix()
    except EnvironmentFault as error:
        what = f"CMake finds no onnxruntime here, and its headers cannot be had: {error.what}"
        raise EnvironmentFault(what, *CURES) from error
    programs.prepare([*command, f"-Donnxruntime_ROOT={prefix}"], folder)


def _build_versions(build: Path) -> dict[str, str]:
    """Returns the versions of the headers and of the compiler, as CMake noted them."""
    cached = (build / "CMakeCache.txt").read_text("utf-8")
    config = Path(_after("onnxruntime_DIR:PATH=", cached))
    text = (config / "onnxruntimeConfigVersion.cmake").read_text("utf-8")
    compiler = next(build.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")).read_text("utf-8")
    name = _after('CMAKE_CXX_COMPILER_ID "', compiler)
    return {
        "its headers": _after('PACKAGE_VERSION "', text),
        name: _after('CMAKE_CXX_COMPILER_VERSION "', compiler),
    }


def _after(words: str, text: str) -> str:
    """Returns the text between these words and the next quote, comma or end of the line; 'unknown'
    where the words are not there."""
    match = re.search(re.escape(words) + r'([^",\n]*)', text)
    return match[1] if match else "unknown"


DESTINATION = OnnxRuntimeCpp
