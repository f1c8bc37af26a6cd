from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.doctor.conftest import Compile
from toolkit.doctor import elf

pytestmark = pytest.mark.process


def test_the_needed_libraries_are_read_in_order(tmp_path: Path, compiled: Compile) -> None:
    first = compiled(tmp_path / "libfirst.so.1", "int a(void) { return 1; }")
    second = compiled(tmp_path / "libsecond.so.13", "int b(void) { return 2; }")
    library = compiled(tmp_path / "libuser.so", "int f(void) { return 0; }", first, second)
    first.unlink()
    assert elf.needed(library) == ["libfirst.so.1", "libsecond.so.13"]


def test_a_library_of_the_wild_reads_as_the_loader_reads_it() -> None:
    import onnxruntime

    (library,) = Path(str(onnxruntime.__file__)).parent.glob("capi/libonnxruntime.so.*")
    listed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    needed = elf.needed(library)
    assert "libc.so.6" in needed
    assert all(name in listed for name in needed)


def test_a_library_that_needs_nothing(tmp_path: Path, compiled: Compile) -> None:
    assert elf.needed(compiled(tmp_path / "libalone.so")) == []


def test_a_file_that_is_no_library_is_refused() -> None:
    with pytest.raises(ValueError, match="not a 64-bit little-endian ELF file"):
        elf.needed(Path(__file__))


@pytest.mark.parametrize("size", [64, 100])
def test_a_library_that_was_cut_is_refused(tmp_path: Path, size: int) -> None:
    cut = tmp_path / "libcut.so"
    cut.write_bytes(Path(sys.executable).resolve().read_bytes()[:size])
    with pytest.raises(ValueError, match=r"libcut\.so ends before its dynamic segment does"):
        elf.needed(cut)
