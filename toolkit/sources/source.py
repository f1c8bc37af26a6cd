"""Names the PyTorch source of a model: 'net.py:build', 'package.module:Net'.

In 'net.py:build(width=3)' the arguments are Python's literals by name: numbers, words, lists.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import InputError


@dataclass(frozen=True)
class Source:
    """A factory, a class or a Module instance, and the weights that go into it."""

    factory: str
    """'package.module:name' or 'path/to/file.py:name'."""
    weights: Path | None = None
    """A .safetensors, .pt (weights_only) or .npz file; None: as the factory makes the module."""
    folder: Path | None = None
    """A folder that stands last on sys.path while the factory is imported, so that it shadows
    nothing, and stays there, since a forward may import too."""
    arguments: str = ""
    """The arguments that the factory is called with, as they are typed: 'width=3'."""

    @property
    def name(self) -> str:
        """The source without any folder, as a file or a record may say it: 'net.py:build'."""
        head, _, attribute = self.factory.rpartition(":")
        called = f"({self.arguments})" if self.arguments else ""
        return f"{Path(head).name}:{attribute}{called}"

    def called_with(self, argument: str) -> str:
        """The source as it would be typed here with one more argument, 'width=VALUE'."""
        head, _, attribute = self.factory.rpartition(":")
        near = Path(head).is_relative_to(Path.cwd()) if self.file else False
        file = str(Path(head).relative_to(Path.cwd())) if near else head
        return f"{file}:{attribute}({', '.join(filter(None, (self.arguments, argument)))})"

    def keywords(self) -> dict[str, Any]:
        """The arguments by name, as Python has them."""
        return _literals(self.arguments, self.name)

    @property
    def attribute(self) -> str:
        """The name that is looked up in the module: 'build'."""
        return self.factory.rpartition(":")[2]

    @property
    def file(self) -> Path | None:
        """The file that the factory stands in; None for a module's dotted name."""
        head = self.factory.rpartition(":")[0]
        return Path(head) if _is_path(head) else None


def parse(text: str, *, weights: Path | None = None, folder: Path | None = None) -> Source:
    """The source that a text names; relative paths start in `folder` (default: the current one).

    All paths of the result are absolute: a worker may have another current folder. Raises
    InputError where the text names no factory, or a file that is not there.
    """
    folder = (folder or Path.cwd()).resolve()
    named, opening, rest = text.partition("(")
    arguments = rest.removesuffix(")") if opening else ""
    if opening:
        if not rest.endswith(")"):
            raise InputError(f"{text!r}: the arguments end with ')'")
        _literals(arguments, text)
    text = named
    head, _, attribute = text.rpartition(":")
    if not head or not attribute.isidentifier():
        example = text if _is_path(text) else f"{text.rstrip(':') or 'net.py'}"
        raise InputError(
            f"{text!r} names no factory; a source is FILE.py:NAME or MODULE:NAME",
            f"for example: toolkit export {example}:build",
        )
    if weights is not None:
        weights = folder / weights
        if not weights.is_file():
            raise InputError(f"no such file: {weights}")
    if not _is_path(head):
        return Source(text, weights, folder, arguments)
    file = folder / head
    if not file.is_file():
        raise InputError(f"no such file: {head}")
    return Source(f"{file.resolve()}:{attribute}", weights, file.resolve().parent, arguments)


def with_file(
    text: str,
    write: Callable[[str], str],
    arguments: Callable[[str], str] = lambda arguments: arguments,
) -> str:
    """A source's text whose file, where it names one, is written by `write`, and what stands behind
    its '(' by `arguments`."""
    named, opening, rest = text.partition("(")
    head, colon, attribute = named.rpartition(":")
    if _is_path(head):
        head = write(head)
    return f"{head}{colon}{attribute}{opening}{arguments(rest)}"


def with_arguments(text: str, given: Sequence[str]) -> str:
    """A source's text with further arguments, each 'key=value'; what is no literal is a word.

    Raises InputError for one without a name.
    """
    if not given:
        return text
    parts = []
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key.strip().isidentifier():
            raise InputError(f"--arg {each!r}: the form is NAME=VALUE", "--arg width=64")
        try:
            ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = repr(value)
        parts.append(f"{key.strip()}={value.strip()}")
    before = f"{text[:-1]}, " if text.endswith(")") else f"{text}("
    return f"{before}{', '.join(parts)})"


def _literals(arguments: str, text: str) -> dict[str, Any]:
    """Reads arguments by name. Raises InputError for what is no literal, and is not run."""
    wrong = InputError(
        f"{text}: the arguments of a factory are literals by name",
        "for example: net.py:build(width=64, kind='small')",
    )
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
            raise wrong
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise wrong from error


def _is_path(head: str) -> bool:
    return head.endswith(".py") or "/" in head
