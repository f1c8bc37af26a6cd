"""A failure shows what happened, and nothing of this machine."""

from __future__ import annotations

import pytest

from toolkit.engine import failures
from toolkit.errors import TargetError


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("iree-compile /opt/a/lib/tool -o=/home/me/x y", "iree-compile …/tool -o=…/x y"),
        ('File "/srv/site-packages/m.py", line 3', 'File "…/m.py", line 3'),
        ("/a/b/c.so: no such file", "…/c.so: no such file"),
        ("see https://example.org/a/b/c", "see https://example.org/a/b/c"),
        ("1/2/3 of a/b/c/d and /tmp/x", "1/2/3 of a/b/c/d and /tmp/x"),
    ],
    ids=["command", "trace", "library", "address", "no path"],
)
def test_the_last_words_of_a_record_name_no_folder_of_this_machine(line: str, shown: str) -> None:
    error = TargetError("it failed")
    error.last_words = (line,)

    assert failures.failure(error).last_words == [shown]
