"""Tests that HTML cannot forget to escape."""

from __future__ import annotations

import doctest
import json

import pytest

from toolkit.report import markup
from toolkit.report.markup import data, joined, script, tag, unbroken


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(markup).failed == 0


def test_text_and_attributes_are_escaped() -> None:
    assert tag("p", "<script>", title='"><script>') == (
        '<p title="&quot;&gt;&lt;script&gt;">&lt;script&gt;</p>'
    )


def test_children_may_be_nested_and_missing() -> None:
    assert tag("p", ["a", [None, tag("br")]], None) == "<p>a<br></p>"


def test_values_cannot_end_their_element() -> None:
    element = data("x", {"a": "</script><!--"})
    assert element.count("<") == 2
    assert json.loads(element.partition(">")[2].rpartition("<")[0]) == {"a": "</script><!--"}


@pytest.mark.parametrize("code", ["'</SCRIPT>'", "a<!--b"])
def test_code_that_html_would_cut_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a page"):
        script(code)


def test_an_interval_in_a_cell_is_one_piece() -> None:
    cell = joined(unbroken("1.23× faster (1.21 to 1.25), <by> (a) to (b)"))

    assert cell == ('1.23× faster <span class="whole">(1.21 to 1.25)</span>, &lt;by&gt; (a) to (b)')
