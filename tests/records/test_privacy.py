"""No folder of the machine, no user and no host stands in what is handed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.records import privacy, whereabouts
from toolkit.records.whereabouts import Whereabouts


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in a home with a telling name that has other folders too."""
    home = tmp_path / "jane doe"
    for name in ("project/sub", "venvs/ov/bin"):
        (home / name).mkdir(parents=True)
    for name in ("project/m.onnx", "project/sub/net.py", "venvs/ov/bin/python", "my net.py"):
        (home / name).touch()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "project")
    return home / "project"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("m.onnx", "m.onnx"),
        ("./sub/../m.onnx", "m.onnx"),
        ("{here}/sub/net.py", "sub/net.py"),
        ("{here}", "."),
        ("../venvs/ov", "ov"),
        ("~/venvs/ov/", "ov"),
        ("/usr/lib/x.so", "x.so"),
        ("/", "/"),
    ],
)
def test_a_path_is_relative_or_its_bare_name(here: Path, typed: str, written: str) -> None:
    assert privacy.path(typed.format(here=here)) == written


def test_a_home_is_not_entered_from_above(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.parent.parent)

    assert privacy.path(here / "m.onnx") == "m.onnx"
    assert privacy.path("/home/joe/m.onnx") == "m.onnx"
    monkeypatch.chdir("/")
    assert privacy.path("/home/joe/m.onnx") == "m.onnx"


def test_a_link_into_the_current_folder_is_followed(here: Path) -> None:
    (here.parent / "link").symlink_to(here)

    assert privacy.path(here.parent / "link/sub/net.py") == "sub/net.py"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("{here}/sub/net.py:Net", "sub/net.py:Net"),
        ("/srv/joe/net.py:build(width=3)", "net.py:build(width=3)"),
        ("package.net:Net", "package.net:Net"),
        ("net.py:build(file='{here}/sub/net.py')", "net.py:build(file='sub/net.py')"),
    ],
)
def test_a_source_keeps_its_name(here: Path, typed: str, written: str) -> None:
    assert privacy.source(typed.format(here=here)) == written


def test_a_target_keeps_all_but_its_folders(here: Path) -> None:
    typed = f"openvino:cpu,env=~/venvs/ov,io=bound,model={here}/m.onnx,lib=/opt/joe/x.so"

    assert privacy.target(typed) == "openvino:cpu,env=ov,io=bound,model=m.onnx,lib=x.so"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{here}/m.onnx cannot be written: full", "m.onnx cannot be written: full"),
        ("env={home}/venvs/ov: no", "env=ov: no"),
        ("'{home}/venvs/ov/bin/python' -m pip", "'python' -m pip"),
        ("cc -I{home}/venvs/gone/include x.c", "cc -Iinclude x.c"),
        ("in {home}/my net.py, line 3", "in my net.py, line 3"),
        ('File "/usr/bin/env", line 1', 'File "env", line 1'),
        ("file://{here}/m.onnx", "m.onnx"),
        ("~/venvs/ov is old", "ov is old"),
        ("env=../venvs/ov: no", "env=ov: no"),
        ("../../gone/net.py: no such file", "net.py: no such file"),
        ("sub/../m.onnx, 3/..", "sub/../m.onnx, 3/.."),
        ("/layer/Conv_output_0 has 3 rows", "/layer/Conv_output_0 has 3 rows"),
        ("see https://onnx.ai/onnx/operators", "see https://onnx.ai/onnx/operators"),
        ("1/2 of it, read/write, a / b", "1/2 of it, read/write, a / b"),
    ],
)
def test_a_text_loses_its_folders_and_no_more(here: Path, text: str, written: str) -> None:
    assert privacy.without_paths(text.format(here=here, home=here.parent)) == written


def test_a_text_loses_the_users_and_the_hosts_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "user_name", lambda: "jane")
    monkeypatch.setattr(privacy, "host_name", lambda: "janes-laptop")

    text = "jane@janes-laptop: no permission for janet"

    assert privacy.without_paths(text) == "USER@HOST: no permission for janet"


def test_the_systems_own_users_are_no_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert privacy.user_name() == ""
    monkeypatch.setattr("os.getuid", lambda: 12345678)
    assert privacy.user_name() == ""


def test_what_a_run_needs_to_go_on_is_the_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "run").mkdir()
    facts = Whereabouts(
        folder=str(tmp_path / "run"), started="now", command=["toolkit", "bench"], identity="x"
    )

    whereabouts.keep(facts)

    (file,) = (tmp_path / "cache/runs").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert whereabouts.of(tmp_path / "run", "now") == facts
    assert whereabouts.of(tmp_path / "run", "later") is None
    file.write_bytes(b"{")
    assert whereabouts.of(tmp_path / "run", "now") is None
    whereabouts.forget(tmp_path / "run")
    assert not file.exists()


def test_the_facts_of_a_run_that_is_gone_go_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        whereabouts.keep(
            Whereabouts(folder=str(tmp_path / name), started="now", command=[], identity="x")
        )
        (tmp_path / name).rmdir()

    assert len([*(tmp_path / "cache/runs").iterdir()]) == 1
