"""A source gives its module, and one that gives none is told in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.sources import examples, factory, source

NET = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.fc = nn.Linear(width, 2)
    def forward(self, x):
        return self.fc(x)

class Sized(nn.Module):
    def __init__(self, width, depth):
        super().__init__()

def build():
    return Small(4).train()

def broken():
    width = 0
    raise ValueError("width must not be 0")

def number():
    return 7

made = Small(5)
answer = 42
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a user's net.py; what was imported from it is forgotten."""
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "net", raising=False)  # Another test's.
    known, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def build(text: str, weights: str | None = None) -> nn.Module:
    return factory.build(source.parse(text, weights=None if weights is None else Path(weights)))


@pytest.mark.parametrize(
    ("text", "width"),
    [("net.py:build", 4), ("net.py:Small", 3), ("net.py:made", 5), ("net:build", 4)],
    ids=["factory", "class with defaults", "instance", "module in the current folder"],
)
def test_a_source_gives_its_module_in_eval_mode(folder: Path, text: str, width: int) -> None:
    module = build(text)

    assert module(torch.zeros(1, width)).shape == (1, 2)
    assert not module.training


def test_a_name_says_nothing_of_its_folder(folder: Path) -> None:
    parsed = source.parse("./net.py:build")

    assert parsed.factory == f"{folder}/net.py:build"
    assert parsed.name == "net.py:build"
    assert source.parse("pkg.net:build").name == "pkg.net:build"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("net.py", "'net.py' names no factory; a source is FILE.py:NAME or MODULE:NAME"),
        ("net.py:", "'net.py:' names no factory; a source is FILE.py:NAME or MODULE:NAME"),
        ("nett.py:build", "no such file: nett.py"),
        ("nopackage.net:build", "no module is called 'nopackage': neither an installed package"),
        ("net.py:biuld", "no factory in net.py is called 'biuld'; there are: "),
        ("net.py:biuld", "Did you mean build?"),
        ("net.py:broken", "net.py:broken raised ValueError: width must not be 0"),
        ("net.py:number", "net.py:number gives a int, not a torch.nn.Module"),
        ("net.py:answer", "net.py:answer is a int, neither a module nor a factory of one"),
        ("net.py:Sized", "net.py:Sized needs arguments: width, depth"),
    ],
)
def test_a_source_that_gives_no_module_is_told_in_one_line(
    folder: Path, text: str, error: str
) -> None:
    with pytest.raises(InputError) as caught:
        build(text)

    assert error in caught.value.what
    assert "\n" not in caught.value.what


def test_arguments_that_a_factory_needs_are_proposed_in_both_ways_of_typing_them(
    folder: Path,
) -> None:
    """`export` has --arg; where the source is an option it has them in its own text."""
    with pytest.raises(InputError) as caught:
        build("net.py:Sized(width=3)")

    option, text = caught.value.cures
    assert option.startswith("--arg depth=VALUE   gives one; ")
    assert text == "--source 'net.py:Sized(width=3, depth=VALUE)'    gives one"


def test_a_factory_that_raises_is_told_with_its_line(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        build("net.py:broken")

    assert caught.value.cures == ('net.py:21   raise ValueError("width must not be 0")',)


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        (
            "import torch\nimport nowhere_to_be_found\n",
            "bad.py cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
            "bad.py:2   import nowhere_to_be_found",
        ),
        ("def build(:\n", "bad.py cannot be imported: SyntaxError: ", "bad.py:1   def build(:"),
        (
            "x = 1\n1 / 0\n",
            "bad.py cannot be imported: ZeroDivisionError: division by zero",
            "bad.py:2   1 / 0",
        ),
    ],
    ids=["missing import", "syntax", "raises"],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(
    folder: Path, text: str, error: str, line: str
) -> None:
    (folder / "bad.py").write_text(text)

    with pytest.raises(InputError) as caught:
        build("bad.py:build")

    assert caught.value.what.startswith(error)
    assert caught.value.cures == (line,)


def test_a_file_imports_its_neighbours(folder: Path) -> None:
    (folder / "layers.py").write_text("from torch import nn\nLayer = nn.Linear\n")
    (folder / "whole.py").write_text("from layers import Layer\ndef build(): return Layer(2, 1)\n")

    assert isinstance(build("whole.py:build"), nn.Linear)


def test_a_file_in_a_package_imports_relatively(folder: Path) -> None:
    package = folder / "family"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "layers.py").write_text("from torch import nn\nLayer = nn.Linear\n")
    (package / "net.py").write_text("from .layers import Layer\ndef build(): return Layer(2, 1)\n")

    assert isinstance(build("family/net.py:build"), nn.Linear)
    assert isinstance(build("family.net:build"), nn.Linear)


@pytest.mark.process
def test_a_neighbour_with_a_librarys_name_shadows_nothing(tmp_path: Path) -> None:
    """Runs in a process of its own: the folder must come behind the installed packages."""
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')\n")
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("raise SystemExit('the wrong numpy')\n")
    (tmp_path / "wave.py").write_text("raise SystemExit('the wrong wave')\n")
    (tmp_path / "json.py").write_text(
        "import wave\nfrom torch import nn\ndef build(): return nn.Linear(2, 1)\n"
    )
    code = (
        "from toolkit.sources import examples, factory, source;"
        "print(type(factory.build(source.parse('json.py:build'))).__name__)"
    )

    ran = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )

    assert ran.stdout == "Linear\n", ran.stderr


def test_two_files_of_one_name_are_two_modules(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "net.py").write_text("from torch import nn\ndef build(): return nn.Linear(9, 9)\n")

    first, second = build("net.py:build"), build("other/net.py:build")

    assert type(first).__name__ == "Small"
    assert isinstance(second, nn.Linear)


@pytest.mark.process
def test_importing_a_source_needs_no_torch() -> None:
    """Children without torch read the same rooms."""
    code = (
        "import sys, toolkit.sources.source, toolkit.sources.reference, toolkit.sources.inputs,"
        " toolkit.sources.calls, toolkit.sources.factory, toolkit.sources.importing,"
        " toolkit.sources.weights;"
        "print(sorted({'torch', 'safetensors', 'sklearn'} & set(sys.modules)))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_a_factory_is_called_with_the_arguments_that_stand_in_its_source(folder: Path) -> None:
    (folder / "sized.py").write_text(
        "from torch import nn\n"
        "def build(width, kind='plain'):\n"
        "    last = nn.Tanh() if kind == 'bent' else nn.ReLU()\n"
        "    return nn.Sequential(nn.Linear(width, 3), last)\n"
    )

    text = source.with_arguments("sized.py:build(width=4)", ["kind=bent"])
    module = factory.build(source.parse(text))

    assert text == "sized.py:build(width=4, kind='bent')"
    assert source.parse(text).name == text
    assert isinstance(module, nn.Sequential)
    assert module[0].in_features == 4
    assert isinstance(module[1], nn.Tanh)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("net.py:build(4)", "the arguments of a factory are literals by name"),
        ("net.py:build(width=open('x'))", "the arguments of a factory are literals by name"),
        ("net.py:build(width=4", "the arguments end with ')'"),
        ("net.py:build(**{})", "the arguments of a factory are literals by name"),
    ],
)
def test_arguments_that_are_no_literals_are_refused_and_not_run(
    folder: Path, text: str, error: str
) -> None:
    with pytest.raises(InputError) as caught:
        source.parse(text)

    assert error in caught.value.what


def test_arguments_that_do_not_fit_are_told_in_one_line(folder: Path) -> None:
    with pytest.raises(InputError, match="is a module itself"):
        build("net.py:made(width=4)")
    with pytest.raises(InputError, match="raised TypeError"):
        build("net.py:build(width=4)")
    with pytest.raises(InputError, match="the form is NAME=VALUE"):
        source.with_arguments("net.py:build", ["width"])


TWO = """
import torch
from torch import nn

class Two(nn.Module):
    def forward(self, x, ids):
        return x

def example_inputs():
    return {given}
"""


@pytest.mark.parametrize(
    "given",
    [
        "torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)",
        "{'x': torch.zeros(2, 3), 'ids': torch.zeros(2, dtype=torch.int64)}",
    ],
    ids=["tuple", "dictionary"],
)
def test_example_inputs_belong_to_forwards_parameters(folder: Path, given: str) -> None:
    (folder / "two.py").write_text(TWO.replace("{given}", given))
    two = source.parse("two.py:Two")

    (example,) = examples.of(two, factory.build(two))
    tensors = example.tensors

    assert {name: tuple(t.shape) for name, t in tensors.items()} == {"x": (2, 3), "ids": (2,)}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("None", "gives None; a tensor, a tuple of tensors or a dictionary of tensors is needed"),
        ("()", "gives (); a tensor, a tuple of tensors or a dictionary of tensors is needed"),
        ("{'x': 3}", "gives {'x': 3}; a tensor, a tuple of tensors"),
        ("(torch.zeros(1),) * 3", "gives 3 tensors, forward takes 2"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_example_inputs_that_are_no_tensors_are_refused(
    folder: Path, given: str, error: str
) -> None:
    (folder / "two.py").write_text(TWO.replace("{given}", given))
    two = source.parse("two.py:Two")

    with pytest.raises(InputError) as caught:
        factory.build(two)

    assert caught.value.what.startswith("example_inputs() of two.py")
    assert error in caught.value.what


def test_an_untrained_module_is_the_same_each_time_it_is_built(folder: Path) -> None:
    torch.manual_seed(1)
    first = build("net.py:build").state_dict()
    torch.manual_seed(2)
    second = build("net.py:build").state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)
