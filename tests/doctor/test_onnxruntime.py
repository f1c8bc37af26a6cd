from __future__ import annotations

import shutil

import pytest

from tests.doctor.conftest import Planted
from toolkit.doctor import onnxruntime
from toolkit.doctor.finding import Finding, Severity
from toolkit.doctor.probe import EnvironmentFacts

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def in_the_environment(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the command lines short, and plants a pip."""
    monkeypatch.chdir(planted.folder)
    planted.write({"pip/__init__.py": "", "numpy/__init__.py": "__version__ = '2.4.6'"})


def examined(planted: Planted) -> Finding:
    (finding,) = onnxruntime.check(planted.facts())
    return finding


def test_the_one_installed_here_is_whole(own: EnvironmentFacts) -> None:
    (finding,) = onnxruntime.check(own)
    assert finding.severity is Severity.OK
    assert finding.what.startswith("onnxruntime 1.")
    assert finding.what.endswith("cpu")


def test_none_is_a_note_with_both_ways_to_get_one(planted: Planted) -> None:
    finding = examined(planted)
    assert finding.severity is Severity.NOTE
    assert finding.what == (
        "not installed: toolkit export cannot prove a file's numbers, and no file is timed on it"
    )
    assert finding.cures == (
        "bin/python -m pip install onnxruntime    the CPU build",
        "bin/python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
        "    the GPU build, 2.5 GB; never both",
    )


def test_two_at_once_name_the_one_whose_files_won_and_the_repair(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA")
    finding = examined(planted)
    assert finding.severity is Severity.FAULT
    assert finding.what == (
        "2 packages own the folder onnxruntime: onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1; "
        "the files are those of onnxruntime-gpu 1.31.1"
    )
    gone = "bin/python -m pip uninstall -y onnxruntime onnxruntime-gpu && "
    assert finding.cures == (
        gone + "bin/python -m pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'"
        "    keeps onnxruntime-gpu",
        gone + "bin/python -m pip install onnxruntime==1.32.0    keeps onnxruntime",
    )


def test_the_one_installed_last_wins(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA")
    planted.onnxruntime("onnxruntime", "1.32.0")
    finding = examined(planted)
    assert finding.what.endswith("the files are those of onnxruntime 1.32.0")
    assert finding.cures[0].endswith("    keeps onnxruntime")


def test_a_build_that_does_not_name_itself_is_known_by_its_files(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    planted.onnxruntime("onnxruntime-openvino", "1.24.1")
    (planted.site / "onnxruntime/capi/build_and_package_info.py").unlink()
    (planted.site / "onnxruntime/capi/libonnxruntime.so.1.32.0").unlink()
    assert examined(planted).what.endswith("the files are those of onnxruntime-openvino 1.24.1")


def test_files_of_two_builds_are_called_mixed(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    planted.onnxruntime("onnxruntime-webgpu", "1.27.0")
    (planted.site / "onnxruntime/capi/build_and_package_info.py").unlink()
    assert examined(planted).what.endswith("the files are mixed")


def test_what_an_uninstall_of_one_of_two_leaves_is_a_fault(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA")
    (planted.site / "onnxruntime/__init__.py").unlink()
    finding = examined(planted)
    assert finding.severity is Severity.FAULT
    assert finding.what == (
        "onnxruntime-gpu 1.31.1 is listed, but its files are gone, "
        "as when another onnxruntime package is uninstalled"
    )
    assert finding.cures == (
        "bin/python -m pip install --force-reinstall --no-deps onnxruntime-gpu==1.31.1",
    )


def test_a_package_without_its_folder_is_a_fault(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    shutil.rmtree(planted.site / "onnxruntime")
    assert "is listed, but its files are gone" in examined(planted).what


def test_a_folder_that_no_package_owns_is_a_fault(planted: Planted) -> None:
    planted.write({"onnxruntime/capi/left.txt": ""})
    finding = examined(planted)
    assert finding.severity is Severity.FAULT
    assert finding.what == ("no package owns the folder onnxruntime: it is what an uninstall left")
    assert finding.cures[0] == "bin/python -m pip install onnxruntime    the CPU build"


def test_files_of_another_package_than_the_listed_are_a_fault(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA")
    shutil.rmtree(planted.site / "onnxruntime_gpu-1.31.1.dist-info")
    planted.distribution("onnxruntime", "1.32.0", {"onnxruntime/__init__.py": 1})
    finding = examined(planted)
    assert finding.what == (
        "the package is onnxruntime 1.32.0, its files are onnxruntime-gpu 1.31.1's"
    )
    assert finding.cures == (
        "bin/python -m pip uninstall -y onnxruntime && "
        "bin/python -m pip install onnxruntime==1.32.0",
    )


def test_an_import_that_fails_is_told_in_its_own_words(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    planted.write({"onnxruntime/__init__.py": "raise ImportError('GLIBC_2.99 not found')"})
    finding = examined(planted)
    assert finding.severity is Severity.FAULT
    assert finding.what == (
        "onnxruntime 1.32.0 cannot be imported: ImportError: GLIBC_2.99 not found"
    )
    assert finding.cures == (
        "bin/python -m pip install --force-reinstall --no-deps onnxruntime==1.32.0",
    )


def test_an_import_that_fails_by_numpy_is_mended_there(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    planted.write(
        {
            "numpy/__init__.py": "raise ImportError('built for another Python')",
            "onnxruntime/__init__.py": "import numpy",
        }
    )
    assert examined(planted).cures == (
        "bin/python -m pip install --force-reinstall --no-deps numpy    mend numpy first",
    )


def test_a_version_that_does_not_tell_its_placement_is_a_fault(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.9.0")
    finding = examined(planted)
    assert finding.severity is Severity.FAULT
    assert finding.what == (
        "onnxruntime 1.9.0 is too old: it does not tell which provider ran each node"
    )
    assert finding.cures == ("bin/python -m pip install --upgrade 'onnxruntime>=1.24'",)
