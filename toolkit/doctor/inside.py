"""Runs inside the environment that is examined, by its own Python, as a program of its own.

It uses only the standard library, and nothing newer than Python 3.8: the Python may be what is
wrong. Each probe is one process, since its answer may be a crash; it prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys

BINARIES = re.compile(r"\.(so|pyd|dll|dylib)(\.|$)")


def environment(*names: str) -> dict[str, object]:
    """Describes Python, and the distributions that bear one of these names or own the folder
    onnxruntime."""
    import importlib.metadata
    import importlib.util
    import sysconfig

    looked_up = {_normal(name) for name in names}
    distributions = []
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if not name:
            continue
        record = distribution.read_text("RECORD") or ""
        owner = "\nonnxruntime/" in "\n" + record
        if owner or _normal(name) in looked_up:
            distributions.append(
                {
                    "name": name,
                    "version": distribution.version,
                    "owner": owner,
                    "binaries": _binaries(distribution) if owner else {},
                }
            )
    return {
        "version": list(sys.version_info[:3]),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        # PEP 668: the system's Python, into which pip refuses to install.
        "managed": sys.prefix == sys.base_prefix
        and os.path.isfile(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")),
        "pip": importlib.util.find_spec("pip") is not None,
        "distributions": distributions,
        "onnxruntime": _folder("onnxruntime"),
        "nvidia": _nvidia(),
    }


def _normal(name: str) -> str:
    """Returns a package's name in the one spelling that pip compares (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _binaries(distribution: object) -> dict[str, list[object]]:
    """Returns, for each shared library in the folder onnxruntime, its size by RECORD and on disk;
    None: it is not there."""
    sizes = {}
    for file in distribution.files or ():  # type: ignore[attr-defined]
        if file.parts[0] == "onnxruntime" and BINARIES.search(file.name):
            path = str(file.locate())
            size = os.path.getsize(path) if os.path.isfile(path) else None
            sizes[str(file)] = [file.size, size]
    return sizes


def _folder(package: str) -> dict[str, object]:
    """Finds a package without importing it; returns its folder, and its build's notes there."""
    for entry in sys.path:
        folder = os.path.join(entry, package)
        if os.path.isdir(folder):
            info = os.path.join(folder, "capi", "build_and_package_info.py")
            text = ""
            if os.path.isfile(info):
                with open(info, encoding="utf-8", errors="replace") as file:
                    text = file.read()
            empty = not os.path.isfile(os.path.join(folder, "__init__.py"))
            return {"folder": folder, "empty": empty, "built": dict(_assignments(text))}
    return {"folder": "", "empty": False, "built": {}}


def _assignments(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^(\w+)\s*=\s*['\"]([^'\"]*)['\"]", text, re.MULTILINE)


def _nvidia() -> list[str]:
    """Returns the folders into which pip lays CUDA's libraries."""
    folders = []
    for entry in sys.path:
        for folder, _, files in os.walk(os.path.join(entry, "nvidia")):
            if any(".so" in name for name in files):
                folders.append(folder)
    return folders


def imported(name: str) -> dict[str, object]:
    """Imports a library; returns its version, and facts that only it can tell."""
    import importlib

    module = importlib.import_module(name)
    version = getattr(module, "__version__", None)
    answer: dict[str, object] = {"version": version and str(version)}
    if version and name == "onnxruntime":
        answer["providers"] = module.get_available_providers()
        answer["later"] = _preloaded(module)
    if version and name == "torch":
        answer["cuda"] = module.version.cuda
        answer["cuda_works"] = module.cuda.is_available()
    return answer


def _preloaded(module: object) -> list[str]:
    """Returns what a GPU build of onnxruntime loads besides what its file says that it needs.

    A private function of onnxruntime lists it; where that is missing, these libraries are not
    looked at.
    """
    paths = getattr(module, "_get_nvidia_dll_paths", None)
    return [path[-1] for path in paths(False)] if callable(paths) else []


def libraries(*arguments: str) -> dict[str, str]:
    """Loads shared libraries, given as SONAME… -- FOLDER….

    Returns SONAME → why it did not load; empty: it did. The folders are looked through first. One
    library may need another of them, so what failed is tried again as long as anything new was
    loaded.
    """
    import ctypes

    dashes = arguments.index("--")
    left, folders = list(arguments[:dashes]), arguments[dashes + 1 :]
    errors: dict[str, str] = {}
    progress = True
    while left and progress:
        progress = False
        for name in list(left):
            paths = [os.path.join(folder, name) for folder in folders]
            files = [path for path in paths if os.path.isfile(path)]
            try:
                # Global: a library that is loaded later finds this one's symbols.
                ctypes.CDLL((files or [name])[0], mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                errors[name] = str(error)
            else:
                errors[name] = ""
                left.remove(name)
                progress = True
    return errors


def driver() -> dict[str, object]:
    """Loads and starts NVIDIA's driver; returns its error code, its CUDA and the number of GPUs."""
    import ctypes

    library = ctypes.CDLL("libcuda.so.1")
    code = library.cuInit(0)
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    if code == 0:
        library.cuDeviceGetCount(ctypes.byref(count))
    # cuda.h: a version is 1000 × major + 10 × minor.
    cuda = [version.value // 1000, version.value % 1000 // 10]
    return {"code": code, "cuda": cuda, "gpus": count.value}


PROBES = {
    "environment": environment,
    "imported": imported,
    "libraries": libraries,
    "driver": driver,
}

if __name__ == "__main__":
    try:
        answer = PROBES[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001  Whatever a foreign library raises is the answer.
        lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
        answer = {"error": type(error).__name__ + (": " + lines[0] if lines else "")}
    # A line of its own, whatever the library printed before; nothing runs after it.
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)
