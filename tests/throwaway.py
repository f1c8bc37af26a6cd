"""Runs the tests of all that depends on versions, with the oldest or the newest that are promised.

`make test-oldest` installs exactly the lower bounds of setup.cfg; `make test-newest` whatever pip
resolves today. The environment lies in the folder for temporary files (TMPDIR chooses another;
torch for CUDA needs 10 GB there) and is removed at the end, also after a failure.
"""

from __future__ import annotations

import argparse
import configparser
import importlib.metadata
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parent.parent
SOURCE = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
"""What setuptools reads to build a wheel, beside the package itself."""
REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)>=([0-9][0-9.]*)")
TESTS = (
    "tests/exporter",
    "tests/sources",
    "tests/onnxfiles",
    "tests/oracle",
    "tests/runtimes/test_contract.py",
    "tests/runtimes/test_torch.py",
    "tests/runtimes/support",
    "tests/answers",
    "tests/feeds",
    "tests/machine",
    "tests/measure",
    "tests/records",
    "tests/report",
)
"""The rooms that call the required packages themselves."""


def lower_bounds(config: str) -> dict[str, str]:
    """The lower bound of each package that an installation with the extra `cpu` requires.

    `config` is the text of a setup.cfg. Raises ValueError for a requirement without a lower bound,
    or with more than one.
    """
    parser = configparser.ConfigParser()
    parser.read_string(config)
    lines = parser["options"]["install_requires"] + parser["options.extras_require"]["cpu"]
    bounds = {}
    for line in lines.strip().splitlines():
        match = REQUIREMENT.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{line!r} is not NAME>=VERSION")
        bounds[match[1]] = match[2]
    return bounds


def installed(python: Path, names: list[str]) -> str:
    """'torch 2.11.0, onnx 1.22.0', by the metadata in the environment of this Python."""
    folders = [str(folder) for folder in python.parent.parent.glob("lib/python*/site-packages")]
    versions = {
        re.sub(r"[-_.]+", "-", distribution.name).lower(): distribution.version
        for distribution in importlib.metadata.distributions(path=folders)
    }
    return ", ".join(f"{name} {versions[name]}" for name in names)


def install(python: Path, folder: Path, constraints: dict[str, str]) -> None:
    """Installs toolkit with its tests' tools, as a user would, at these versions.

    From a copy, since setuptools writes beside what it builds. Without pip's cache, which would
    keep gigabytes of an environment that is thrown away. Raises CalledProcessError.
    """
    source = folder / "source"
    shutil.copytree(
        ROOT / "toolkit", source / "toolkit", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in SOURCE:
        shutil.copyfile(ROOT / name, source / name)
    file = folder / "constraints.txt"
    file.write_text("".join(f"{name}=={version}\n" for name, version in constraints.items()))
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-cache-dir", "--constraint", file, f"{source}[cpu,test]"],
        check=True,
    )  # fmt: skip
    subprocess.run([python, "-m", "pip", "check"], check=True)


def run(age: str, more: list[str]) -> int:
    """Installs, tests and removes; returns pytest's exit status."""
    bounds = lower_bounds((ROOT / "setup.cfg").read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix=f"toolkit-{age}-") as name:
        folder = Path(name)
        # Everything that a test leaves behind is thrown away too. The cache is empty on purpose:
        # runtimes in environments of their own do not depend on what is tried here.
        os.environ |= {"TMPDIR": str(folder), "TOOLKIT_CACHE": str(folder / "cache")}
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        python = folder / "env" / "bin" / "python"
        install(python, folder, bounds if age == "oldest" else {})
        versions = f"Python {platform.python_version()}, {installed(python, list(bounds))}"
        sys.stdout.write(f"{age}: {versions}\n")
        sys.stdout.flush()
        # Of every mark: torch's compilers depend on versions more than all else, and are slow.
        tests = subprocess.run(
            [python, "-m", "pytest", "-p", "no:cacheprovider", "-m", "", *TESTS, *more], cwd=ROOT
        )
        sys.stdout.write(f"{age}: {versions}\n")
    return tests.returncode


def stop(number: int, frame: object) -> NoReturn:
    """Ends as after Ctrl-C, so that the environment is removed."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("age", choices=("oldest", "newest"))
    chosen, rest = parser.parse_known_args()
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(run(chosen.age, rest))
    except subprocess.CalledProcessError as error:
        # pip has said why above.
        sys.exit(f"failed: {' '.join(map(str, error.cmd))}")
