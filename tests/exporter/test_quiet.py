"""All that a library prints is kept from the terminal and handed over."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from toolkit.exporter.quiet import Chatter, quiet


def test_everything_that_is_said_is_gathered(capfd: pytest.CaptureFixture[str]) -> None:
    chatter = Chatter()
    handler = logging.StreamHandler(sys.stderr)

    with quiet(chatter):
        sys.stdout.write("from Python\n")
        os.write(2, b"from C++\n")
        handler.emit(logging.LogRecord("torch", 30, "f", 1, "from a log", None, None))
        warnings.warn("from a warning", stacklevel=1)

    for text in ("from Python", "from C++", "UserWarning: from a warning"):
        assert text in chatter.text
    assert "from C++" not in capfd.readouterr().err


@pytest.mark.process
def test_the_terminal_is_given_back_also_after_an_error() -> None:
    code = (
        "import logging, os, sys\n"
        "from toolkit.exporter.quiet import Chatter, quiet\n"
        "handler = logging.StreamHandler()\n"
        "chatter = Chatter()\n"
        "try:\n"
        "    with quiet(chatter):\n"
        "        os.write(1, b'hidden'); print('hidden'); 1 / 0\n"
        "except ZeroDivisionError:\n"
        "    print('shown'); os.write(2, b'shown too')\n"
        "with quiet(chatter):\n"
        "    handler.emit(logging.LogRecord('torch', 30, 'f', 1, 'hidden log', None, None))\n"
        "assert chatter.text.count('hidden') == 3, chatter.text\n"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (ran.stdout, ran.stderr) == ("shown\n", "shown too")
