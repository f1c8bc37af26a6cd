"""One file prints, and what it prints steers no terminal, whatever stands in it."""

from __future__ import annotations

import ast
import json
import os
import unicodedata
from collections.abc import Iterator
from types import SimpleNamespace

import click
import pytest

from tests.test_layers import OF_A_WORKER, PROGRAMS, room, trees
from toolkit import plaintext
from toolkit.cli import screen
from toolkit.supervision import progress

WRITING = ("print", "input", "click.echo", "click.secho", "click.echo_via_pager", "click.confirm",
           "click.prompt", "click.pause", "click.clear", "click.style", "click.progressbar",
           "Console", "traceback.print_exc", "traceback.print_exception")  # fmt: skip
"""Functions that write to a terminal, but for the one that is made for it."""


def writes(tree: ast.Module) -> Iterator[str]:
    """The calls of a file that write: those, a stream's, and click's of its own errors."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        is_streams = name.startswith(("sys.stdout.", "sys.stderr.", "sys.__std"))
        shows = name.endswith(".show") and name.split(".")[0] not in ("bench", "export", "train")
        if name in WRITING or shows or (is_streams and name.endswith((".write", ".writelines"))):
            yield f"{node.lineno} calls {name}"


def test_one_file_of_the_command_line_writes() -> None:
    wrong = [
        f"{name}:{call}"
        for name, tree in trees().items()
        # A worker's streams are its log, and programs have those of their own process.
        if name != "toolkit.cli.screen" and room(name) not in OF_A_WORKER and name not in PROGRAMS
        for call in writes(tree)
    ]

    assert wrong == []
    assert [*writes(trees()["toolkit.cli.screen"])] != []


@pytest.mark.parametrize(
    "code",
    [
        "print('a')",
        "click.echo(name)",
        "def f():\n    error.show()",
        "sys.stderr.write(name)",
        "if click.confirm('Run it?'): pass",
    ],
)
def test_a_file_that_writes_by_itself_is_found(code: str) -> None:
    assert len([*writes(ast.parse(code))]) == 1


HOSTILE = "a\x1b]0;title\x07b\x9b2Jc\u202ed\x00e\x7f"
SHOWN = "a�]0;title�b�2Jc�d�e�"


def test_control_characters_are_replaced_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen.say(f"{HOSTILE}\n  {HOSTILE}")
    screen.line("check", f"{HOSTILE}\nerror: not ours")
    screen.error(f"{HOSTILE}\nerror: not ours", [f"{HOSTILE}\r    mends it"])
    screen.left_out([HOSTILE])

    out, err = capsys.readouterr()

    assert out == f"{SHOWN}\n  {SHOWN}\ncheck    {SHOWN} error: not ours\n"
    assert err == (f"error: {SHOWN} error: not ours\n  {SHOWN}     mends it\nleft out: {SHOWN}\n")


def test_a_name_that_is_no_utf8_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    screen.line("report", os.fsdecode(b"m\xff.html"))

    assert capsys.readouterr().out == "report   m�.html\n"


def test_json_keeps_its_values_and_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": f"{HOSTILE} é 𝄞 \U000e0001"}

    screen.json(json.dumps(value, ensure_ascii=False, indent=1))

    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert not [c for c in out if c != "\n" and unicodedata.category(c) in plaintext.INVISIBLE]
    assert "é 𝄞" in out


def test_data_stays_as_it_is_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    screen.data('case,target\r\n"a\rb",fake\r\n')

    assert capsys.readouterr().out == 'case,target\r\n"a\rb",fake\r\n'


def test_our_styles_stay_where_we_set_them_and_others_do_not() -> None:
    text = f"{plaintext.STYLES['strong']}fast{plaintext.RESET} \x1b[2J \x1b]0;t\x07"

    assert plaintext.lines(text, styled=True) == "\x1b[1mfast\x1b[0m �[2J �]0;t�"
    assert plaintext.lines(text) == "�[1mfast�[0m �[2J �]0;t�"


def test_what_click_quotes_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    screen.usage(click.UsageError(f"No such option: --{HOSTILE}"))

    assert capsys.readouterr().err == f"Error: No such option: --{SHOWN}\n"


def test_progress_in_a_pipe_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 4.0, 10.0, 12.0, 19.0, 21.0, 22.0])
    monkeypatch.setattr(screen, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    with screen.progress("bench") as draw:
        for number in range(1, 6):
            draw(number / 10, f"process start {number} of about 12")
        draw(None, "a\x1b[2Jb")

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "bench    20% · process start 2 of about 12",
        "bench    50% · process start 5 of about 12",
    ]


def test_steps_of_what_is_right_are_told_in_a_pipe_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "PAUSE", 0.0)

    with screen.progress("check"):
        progress.step("Loop 'turn'", 1, 4)

    assert "Loop 'turn'" in capsys.readouterr().err
