"""Every option of every command, and every key of a target, has a decision: does it run code?"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from toolkit import cli
from toolkit.cli import decisions
from toolkit.data.request import is_code
from toolkit.runtimes import listing


def parameters(name: str, command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    yield from ((name, parameter) for parameter in command.params)
    if isinstance(command, click.Group):
        for each, inner in command.commands.items():
            yield from parameters(f"{name} {each}", inner)


ALL = [
    (name, parameter)
    for each in cli.COMMANDS
    for name, parameter in parameters(each, importlib.import_module(f"toolkit.cli.{each}").command)
]

CODE = {
    "bench install": [""],
    "bench examples": ["data.py:rows"],
    "bench metrics": ["own.py:score"],
    "bench preprocess": ["own.py:ready"],
    "bench source": ["net.py:build"],
    "bench targets": ["onnxruntime,env=venv", "onnxruntime:cpu,io=bound,env=venv", "fake,lib=x.so"],
    "bench weights": ["w.npz"],
    "check examples": ["package.data:rows"],
    "check metrics": ["own.py:score"],
    "check preprocess": ["own.py:ready"],
    "check source": ["package.net:Net"],
    "check targets": ["openvino,env=venv", "onnxruntime-web,sandbox=off"],
    "check weights": ["w.pt"],
    "compare examples": ["folder/data.py:rows"],
    "compare install": [""],
    "compare metrics": ["own.py:score"],
    "compare preprocess": ["own.py:ready"],
    "compare source": ["net.py:build"],
    "compare targets": ["fake,env=venv"],
    "compare weights": ["w.npz"],
    "conformance targets": ["fake,env=venv"],
    "deploy sandbox": ["off"],
    "deploy source": ["net.py:build"],
    "deploy to": ["node"],
    "deploy weights": ["w.npz"],
    "doctor env": ["venv"],
    "export source": ["net.py:build"],
    "export weights": ["w.npz"],
    "runtimes install all_cpu": [""],
    "runtimes install names": ["openvino"],
}
"""Each parameter that runs code, with values by which it does."""


def test_every_parameter_of_every_command_has_a_decision() -> None:
    assert len(ALL) > 100
    undecided = [f"{c} {p.name}" for c, p in ALL if decisions.of(c, p) is decisions.UNDECIDED]

    assert undecided == []


def test_a_parameter_that_nobody_decided_on_runs_code() -> None:
    new = click.Option(["--hook"])

    assert decisions.of("bench", new).runs_code("anything")


def test_these_parameters_run_code_and_no_others() -> None:
    running = {
        f"{command} {parameter.name}"
        for command, parameter in ALL
        if any(map(decisions.of(command, parameter).runs_code, ("onnxruntime,env=venv", "a.py:f")))
    }

    assert running == {*CODE}


@pytest.mark.parametrize("name", CODE)
def test_its_values_are_known_as_code(name: str) -> None:
    decision = next(
        decisions.of(command, parameter)
        for command, parameter in ALL
        if f"{command} {parameter.name}" == name
    )

    assert all(map(decision.runs_code, CODE[name]))


def test_data_and_metrics_that_are_no_functions_run_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may be called what looks like a function: then it is read, and never run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.py:rows").touch()

    for text in ("data.npz", "photos/validation", "digits", "accuracy", "odd.py:rows"):
        assert not is_code(text)
    assert is_code("odd.py:others")


def test_every_option_of_every_runtime_is_decided_on() -> None:
    keys = {"model", "threads", "env"}
    for name in listing.BUILT_IN:
        facts = listing.facts(listing.find(name))
        assert facts is not None
        keys |= {*facts.options}

    assert keys - decisions.SAFE_KEYS == {"env", "sandbox"}
    assert not decisions.names_code("onnxruntime:cpu,io=bound,threads=2,model=new.onnx")
