"""The browser of onnxruntime-web: the files that its page may have, and the sandbox it runs in.

A kernel that gives users no namespaces is had by a namespace in which nobody may make another one;
there root is an ordinary user besides, so these tests show what such a user sees.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.javascript import WEB, installed
from toolkit.deployment import chromium
from toolkit.workers import cache, node

pytestmark = pytest.mark.process

SCRIPTS = Path(node.__file__).parent / "javascript"

ASKING = """
import { readFileSync, writeFileSync } from 'node:fs';
import { Grants, served } from 'SCRIPTS/served.mjs';

const [folder] = process.argv.slice(2);
const grants = new Grants();
const address = await served(`${folder}/dist`, grants);
const ask = async (method, path, body) => {
  const response = await fetch(address + path, { method, body });
  return [response.status, response.ok ? await response.text() : ''];
};
const file = (name) => `file?path=${encodeURIComponent(`${folder}/${name}`)}`;
const answers = {};
answers.before = await ask('GET', file('m.onnx'));
grants.follow({
  verb: 'load',
  program: {
    model: `${folder}/m.onnx`,
    external: { 'w.bin': `${folder}/w.bin` },
    outputs: [{ name: 'y' }],
  },
});
answers.model = await ask('GET', file('m.onnx'));
answers.weights = await ask('GET', file('w.bin'));
answers.secret = await ask('GET', file('secret.bin'));
answers.around = await ask('GET', file('../' + folder.split('/').at(-1) + '/m.onnx'));
answers.overwrite = await ask('PUT', file('m.onnx'), 'mine');
answers.library = await ask('PUT', 'package/ort.mjs', 'mine');
answers.code = await ask('PUT', 'page.mjs', 'mine');
answers.posted = await ask('POST', 'package/ort.mjs', 'mine');
answers.read = await ask('GET', 'package/ort.mjs');
grants.follow({ verb: 'answer', folder: `${folder}/out` });
answers.later = await ask('GET', file('m.onnx'));
answers.output = await ask('PUT', file('out/0.npy'), 'numbers');
answers.more = await ask('PUT', file('out/1.npy'), 'numbers');
answers.elsewhere = await ask('PUT', file('out/../m.onnx'), 'mine');
answers.stranger = [(await fetch(new URL('/' + file('out/0.npy'), address))).status, ''];
console.log(JSON.stringify(answers));
process.exit(0);
"""


def test_the_page_has_the_files_of_the_request_that_it_answers_and_no_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "dist").mkdir()
    for name in ("m.onnx", "w.bin", "secret.bin", "dist/ort.mjs"):
        (tmp_path / name).write_text(name)
    program = tmp_path / "asking.mjs"
    program.write_text(ASKING.replace("SCRIPTS", str(SCRIPTS)))

    done = subprocess.run(
        [needs.program("node"), str(program), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    given = {name for name, answer in answers.items() if answer[0] == 200}
    assert given == {"model", "weights", "read", "output"}
    assert {answer[0] for name, answer in answers.items() if name not in given} == {404}
    assert answers["weights"] == [200, "w.bin"]
    assert (tmp_path / "out" / "0.npy").read_text() == "numbers"
    assert (tmp_path / "m.onnx").read_text() == "m.onnx"
    assert (tmp_path / "dist" / "ort.mjs").read_text() == "dist/ort.mjs"


AS_A_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
NO_NAMESPACES = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
WITHOUT_NAMESPACES = (*AS_A_USER, "--keep-caps", "sh", "-c", NO_NAMESPACES, "sh")

WORKER = """
import json, sys
from pathlib import Path
from tests import small
from toolkit.errors import TargetError
from toolkit.runtimes import listing
from toolkit.workers import environments, managed
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

def seccomp(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Seccomp:"))

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
entry = listing.find("onnxruntime-web")
spec = WorkerSpec(entry, managed.home(entry, "wasm"), "", options)
with Worker(spec, environments.lay(folder / "rooms", []), patience=Patience()) as worker:
    worker.post_hello()
    try:
        hello = worker.hello()
    except TargetError as error:
        print(json.dumps({"what": error.what, "cures": error.cures}))
        sys.exit()
    worker.post_load(small.mlp_program(small.mlp(folder / "mlp.onnx")), "wasm")
    loaded = worker.load()
    print(json.dumps({
        "python": hello.python,
        "copies": loaded.copies,
        # The renderer is held by a filter of system calls; 2 is "filtered" (man 5 proc).
        "filtered": "2" in map(seccomp, loaded.computes),
    }))
"""

PAGE = """
import json, sys
from pathlib import Path
from toolkit.deployment import chromium
from toolkit.errors import EnvironmentFault
try:
    with chromium.page(Path(sys.argv[1]) / "profile", json.loads(sys.argv[2])) as page:
        page.open("data:text/html,here")
        print(json.dumps({"sum": page.evaluate("1 + 1")}))
except EnvironmentFault as error:
    print(json.dumps({"what": error.what, "cures": error.cures}))
"""


def told(folder: Path, within: tuple[str, ...], program: str, value: object) -> Any:
    """What a program prints as JSON, in a process that may be an ordinary user's."""
    installed(WEB)
    if within and subprocess.run([*within, "true"], capture_output=True).returncode:
        needs.absent("no user namespace can be made here")
    # A home of its own: in the namespace the user's id has another one, which it may not enter.
    places = {"HOME": str(folder), "TOOLKIT_CACHE": str(cache.root())}
    done = subprocess.run(
        [*within, sys.executable, "-c", program, str(folder), json.dumps(value)],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_browser_of_an_ordinary_user_has_its_sandbox(tmp_path: Path) -> None:
    shown = told(tmp_path, AS_A_USER, WORKER, {})

    assert shown["filtered"]
    assert "sandbox" not in shown["python"] + shown["copies"]


def test_a_browser_without_a_sandbox_is_said_to_have_none(tmp_path: Path) -> None:
    if os.geteuid():
        needs.absent("only root's browser has no sandbox by itself")

    shown = told(tmp_path, (), WORKER, {})

    assert not shown["filtered"]
    assert shown["copies"].endswith("; the browser runs without its sandbox, since root starts it")
    assert shown["python"].endswith(", without its sandbox")


def test_where_the_kernel_gives_no_sandbox_it_has_to_be_typed(tmp_path: Path) -> None:
    refused = told(tmp_path, WITHOUT_NAMESPACES, WORKER, {"optimize": "none"})

    assert refused == {
        "what": "the browser finds no sandbox here: the kernel gives this user no namespaces",
        "cures": [
            "--target 'onnxruntime-web,optimize=none,sandbox=off'    runs it without one: for"
            " models that you trust"
        ],
    }


def test_typed_it_runs_without(tmp_path: Path) -> None:
    shown = told(tmp_path, WITHOUT_NAMESPACES, WORKER, {"sandbox": "off"})

    assert shown["copies"].endswith("; the browser runs without its sandbox")


def test_the_page_that_is_deployed_is_proven_by_the_same_rule(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "none").mkdir()

    assert told(tmp_path / "user", AS_A_USER, PAGE, "auto") == {"sum": 2}
    assert told(tmp_path / "none", WITHOUT_NAMESPACES, PAGE, "auto") == {
        "what": chromium.NO_SANDBOX,
        "cures": ["--sandbox off    runs it without one: for models that you trust"],
    }
    assert told(tmp_path / "none", WITHOUT_NAMESPACES, PAGE, "off") == {"sum": 2}
