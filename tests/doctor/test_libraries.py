from __future__ import annotations

import pytest

from tests.doctor.conftest import SITE, Planted
from toolkit.doctor import libraries
from toolkit.doctor.finding import Severity
from toolkit.doctor.probe import EnvironmentFacts

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def in_the_environment(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted.folder)
    planted.write({"pip/__init__.py": ""})


def test_the_libraries_installed_here_import(own: EnvironmentFacts) -> None:
    numpy, torch = libraries.check(own)
    assert (numpy.topic, numpy.severity) == ("numpy", Severity.OK)
    assert (torch.topic, torch.severity) == ("torch", Severity.OK)
    assert "build" in torch.what or "built for CUDA" in torch.what


def test_an_environment_without_numpy_can_run_no_model(planted: Planted) -> None:
    (finding,) = libraries.check(planted.facts())
    assert finding.severity is Severity.FAULT
    assert finding.what == "numpy is not installed: toolkit can run no model here"
    assert finding.cures == ("bin/python -m pip install numpy",)


def test_another_environment_needs_no_torch(planted: Planted) -> None:
    planted.borrow("numpy", "numpy.libs", next(SITE.glob("numpy-*.dist-info")).name)
    (finding,) = libraries.check(planted.facts())
    assert (finding.topic, finding.severity) == ("numpy", Severity.OK)


def test_a_numpy_whose_compiled_part_is_gone_is_told_with_its_repair(planted: Planted) -> None:
    planted.distribution("numpy", "2.4.6")
    # The real package's Python files without the compiled ones.
    source = (SITE / "numpy/__init__.py").read_text()
    planted.write({"numpy/__init__.py": source, "numpy/version.py": "version = '2.4.6'"})
    (finding,) = libraries.check(planted.facts())
    assert finding.severity is Severity.FAULT
    assert finding.what.startswith("numpy 2.4.6 cannot be imported: ")
    assert "Error" in finding.what
    assert finding.cures == ("bin/python -m pip install --force-reinstall --no-deps numpy==2.4.6",)


def test_an_empty_numpy_is_not_taken_for_one(planted: Planted) -> None:
    planted.distribution("numpy", "2.4.6")
    planted.write({"numpy/left.txt": ""})
    (finding,) = libraries.check(planted.facts())
    assert finding.what == "numpy 2.4.6 is an empty folder: its files are gone"


def test_a_torch_that_crashes_is_a_fault(planted: Planted) -> None:
    planted.distribution("torch", "2.13.0")
    planted.write(
        {
            "numpy/__init__.py": "__version__ = '2.4.6'",
            "torch/__init__.py": "import os; os.kill(os.getpid(), 4)",
        }
    )
    _, finding = libraries.check(planted.facts())
    assert finding.severity is Severity.FAULT
    assert finding.what == "torch 2.13.0 cannot be imported: killed by SIGILL"
    assert finding.cures == ("bin/python -m pip install --force-reinstall --no-deps torch==2.13.0",)
