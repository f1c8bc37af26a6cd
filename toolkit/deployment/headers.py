"""Brings ONNX Runtime's C++ headers where the system has none.

They are those of Debian 13's package, unpacked into toolkit's cache, beside the library of the
Python wheel. The C API is only ever appended to, so a client that is built with older headers runs
with a newer library; headers 1.21 with the library 1.32 were tried.

Nothing is installed: apt gets lists, a cache and sources of its own, and dpkg only unpacks.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from toolkit.deployment import programs, python
from toolkit.errors import EnvironmentFault
from toolkit.runtimes.onnxruntime import OnnxRuntime
from toolkit.workers import cache, locks

SOURCES = Path("/etc/apt")
SUITE = "trixie"
"""Debian 13 is the first that has the package."""
PACKAGE = "libonnxruntime-dev"
LIBRARY = re.compile(r"libonnxruntime\.so[.\d]*\d")
"""A name of the library in the package's files for CMake."""


def prefix() -> Path:
    """Returns a folder with include/ and lib/ as CMake looks for them, from the cache once made.

    Raises EnvironmentFault where apt, pip or the network does not give the two packages.
    """
    pin = OnnxRuntime.requirements[0]
    folder = cache.root() / "headers" / f"{SUITE}-{pin.replace('==', '-')}"
    cache.made(folder, _make)
    return folder / "usr"


def _make(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="toolkit-") as scratch:
        package = _download(Path(scratch))
        programs.prepare([programs.find("dpkg"), "-x", package, folder], folder)
        library = _library(folder)
    _link(folder, library)
    return {"package": package.name}


def _download(scratch: Path) -> Path:
    """Downloads the package by an apt that knows this one suite alone: Debian 12's has none."""
    apt = programs.find("apt-get")
    for name in ("sources", "lists", "cache", "package"):
        (scratch / name).mkdir()
    (scratch / "sources" / "own.sources").write_text(_stanza(), "utf-8")
    own = [
        "-oDir::Etc::sourcelist=/dev/null",
        f"-oDir::Etc::sourceparts={scratch}/sources",
        f"-oDir::State::Lists={scratch}/lists",
        f"-oDir::Cache={scratch}/cache",
        # apt as root would fetch as the user _apt, who may not write into our scratch folder.
        "-oAPT::Sandbox::User=root",
        "-oAcquire::Languages=none",
    ]
    programs.prepare([apt, *own, "--error-on=any", "update"], scratch)
    programs.prepare([apt, *own, "download", PACKAGE], scratch / "package")
    return next((scratch / "package").glob("*.deb"))


def _stanza() -> str:
    """Returns a source entry for Debian's archive, at the address by which this machine reaches
    it, with the suite that has the package. Raises EnvironmentFault where no archive is set up."""
    for file in sorted((SOURCES / "sources.list.d").glob("*.sources")):
        for stanza in file.read_text("utf-8", errors="replace").split("\n\n"):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(\S.*)$", stanza, re.MULTILINE))
            if "/debian" not in fields.get("URIs", "") or "security" in fields.get("Suites", ""):
                continue
            signed = fields.get("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg")
            return (
                f"Types: deb\nURIs: {fields['URIs']}\nSuites: {SUITE}\nComponents: main\n"
                f"Signed-By: {signed}\n"
            )
    raise EnvironmentFault("apt has no archive of Debian here")


def _library(folder: Path) -> Path:
    """Installs the Python wheel below `folder` and returns the path of the library in it."""
    wheel = folder / "wheel"
    requirement = folder / "onnxruntime.txt"
    requirement.write_text(locks.alone(python.lock(OnnxRuntime), "onnxruntime").text, "utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    pip += ["--only-binary", ":all:", "--require-hashes", "-r", str(requirement)]
    programs.prepare([*pip, "--target", wheel], folder)
    return next((wheel / "onnxruntime" / "capi").glob("libonnxruntime.so.*"))


def _link(folder: Path, library: Path) -> None:
    """Gives the library all names by which the package's files for CMake and the linker call it."""
    libraries = next((folder / "usr" / "lib").glob("*/cmake")).parent
    texts = [file.read_text("utf-8") for file in libraries.glob("cmake/onnxruntime/*.cmake")]
    names = {name for text in texts for name in LIBRARY.findall(text)}
    for name in sorted({*names, "libonnxruntime.so.1"}):
        (libraries / name).unlink(missing_ok=True)
        (libraries / name).symlink_to(library)
