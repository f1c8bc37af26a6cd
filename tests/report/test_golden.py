"""Tests the terminal's and the Markdown report word for word."""

from __future__ import annotations

import pytest

from tests.report import golden

TEXTS = golden.texts()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_report_reads_as_its_golden_file(name: str) -> None:
    assert TEXTS[name] == (golden.FOLDER / name).read_text(encoding="utf-8")


def test_every_golden_file_is_made() -> None:
    assert {file.name for file in golden.FOLDER.iterdir()} == set(TEXTS)
