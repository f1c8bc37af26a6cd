"""toolkit runtimes: what is shown as working has worked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import command

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The table as JSON, by runtime, with no environment made."""
    folder = tmp_path_factory.mktemp("runtimes")
    done = command.run("runtimes", "--json", cwd=folder, env={"TOOLKIT_CACHE": str(folder)})
    assert done.code == 0
    listed = json.loads(done.out)["runtimes"]
    return {row["place"]["runtime"]: row for row in listed}


def test_a_runtime_that_is_here_ran_a_model_on_its_providers(
    rows: dict[str, dict[str, object]],
) -> None:
    assert rows["onnxruntime"]["works"] == ["cpu"]
    assert rows["torch"]["works"] == ["cpu"]
    assert rows["reference"]["works"] == ["cpu"]


def test_a_provider_that_did_not_run_says_why(rows: dict[str, dict[str, object]]) -> None:
    refused = rows["onnxruntime"]["refused"]

    assert isinstance(refused, list)
    assert [provider for provider, _ in refused] == ["cuda"]
    assert "is built without cuda" in refused[0][1]


def test_what_is_not_installed_is_a_row_with_its_recipe(
    rows: dict[str, dict[str, object]],
) -> None:
    place = rows["openvino"]["place"]

    assert isinstance(place, dict)
    assert (place["environment"], place["recipe"]) == ("", "openvino")
    assert rows["openvino"]["works"] == []


def test_the_table_ends_with_the_command_that_installs_what_is_missing(tmp_path: Path) -> None:
    done = command.run("runtimes", cwd=tmp_path, env={"TOOLKIT_CACHE": str(tmp_path)})

    assert done.code == 0
    assert done.out.splitlines()[0].split() == [
        *("runtimes", "runtime", "where", "version"),
        *("runs", "on", "precision", "licence", "on", "disk"),
    ]
    assert done.out.splitlines()[-1].split()[:3] == ["toolkit", "runtimes", "install"]


def test_install_needs_names_or_all(tmp_path: Path) -> None:
    done = command.run("runtimes", "install", cwd=tmp_path)

    assert done.code == 2
    assert "give names or --all-cpu; there are: " in done.err
