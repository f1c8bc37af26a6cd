"""Signatures over folders and files: whatever is not as it was signed is refused, and named."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests import command, small
from tests.deployment import keys, pythons
from tests.deployment.keys import Pair
from toolkit.deployment import signing, verifying
from toolkit.deployment.verifying import Trusted
from toolkit.errors import EnvironmentFault, InputError
from toolkit.onnxfiles import filestates
from toolkit.pipelines.check import check
from toolkit.pipelines.check import signature as verify
from toolkit.pipelines.deploy import Deployment, DeployRequest, deploy
from toolkit.pipelines.export import export
from toolkit.supervision import progress

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return keys.pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def deployed(acme: Pair, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A signed folder for ONNX Runtime in Python; the model has external data."""
    folder = tmp_path_factory.mktemp("model")
    onnx.save(
        onnx.load(small.layer(folder / "whole.onnx")),
        folder / "split.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    (made,) = deploy(
        folder / "split.onnx",
        ["onnxruntime"],
        folder / "deployed",
        request=DeployRequest(sign=acme.private),
        make_python=pythons.shared,
    )
    assert made.proven, made.proof.what
    return made


@pytest.fixture
def folder(deployed: Deployment, tmp_path: Path) -> Path:
    """A copy of the signed folder, as somebody got it."""
    assert deployed.folder is not None
    return Path(shutil.copytree(deployed.folder, tmp_path / "got"))


def refused(path: Path, key: Path) -> str:
    with pytest.raises(InputError) as caught:
        verify(path, Trusted(key))
    assert "\n" not in caught.value.what
    assert caught.value.what.replace("\u2009", " ").isprintable()
    return caught.value.what


def test_a_signed_folder_is_whole_and_names_the_key(
    deployed: Deployment, folder: Path, acme: Pair
) -> None:
    verified = verify(folder, Trusted(acme.public))

    files = {path for path in folder.rglob("*") if path.is_file()}
    assert {state.path for state in verified.states} == files - {folder / "model.sig"}
    assert {folder / "model/model.onnx", folder / "model/weights.bin"} < files
    assert verified.signed_by == deployed.signed_by == fingerprint(acme.public)
    assert verified.model == folder / "model/model.onnx"
    assert "model.sig" in (folder / "README.md").read_text()


def fingerprint(public: Path) -> str:
    """As OpenSSL gives it."""
    command_line = ["openssl", "pkey", "-pubin", "-in", str(public), "-outform", "DER"]
    der = subprocess.run(command_line, capture_output=True, check=True).stdout
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_the_librarys_own_program_verifies_what_toolkit_signed(folder: Path, acme: Pair) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "model_signing", "verify", "key", str(folder)),
            *("--signature", str(folder / "model.sig"), "--public_key", str(acme.public)),
        ],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr + done.stdout


def append(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"\n")


def flip(file: Path) -> None:
    """Changes one bit: the length stays."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


Change = Callable[[Path], object]
CHANGES: dict[str, tuple[Change, str]] = {
    "a client": (lambda f: append(f / "client.py"), "client.py was changed"),
    "the model": (lambda f: flip(f / "model/model.onnx"), "model/model.onnx was changed"),
    "external data": (lambda f: flip(f / "model/weights.bin"), "model/weights.bin was changed"),
    "a file more": (lambda f: (f / "model/new.bin").touch(), "model/new.bin was added"),
    "a hidden one": (lambda f: (f / ".gitattributes").touch(), ".gitattributes was added"),
    "a signature more": (
        lambda f: shutil.copy(f / "model.sig", f / "model/model.sig"),
        "model/model.sig was added",
    ),
    "a file less": (lambda f: (f / "model/weights.bin").unlink(), "model/weights.bin was removed"),
    "another name": (
        lambda f: (f / "client.py").rename(f / "client2.py"),
        "client.py was removed, client2.py was added",
    ),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_was_changed_added_or_removed_is_named(
    folder: Path, acme: Pair, change: Change, said: str
) -> None:
    change(folder)

    assert refused(folder, acme.public) == f"{folder} is not as it was signed: {said}"


def test_the_model_of_a_folder_is_verified_with_the_whole_folder(folder: Path, acme: Pair) -> None:
    model = folder / "model/model.onnx"
    assert verify(model, Trusted(acme.public)).model == model

    append(folder / "client.py")

    assert refused(model, acme.public).endswith("client.py was changed")


def link_file(folder: Path) -> None:
    (folder / "client.py").rename(folder.parent / "client.py")
    (folder / "client.py").symlink_to(folder.parent / "client.py")


def link_folder(folder: Path) -> None:
    (folder / "model").rename(folder.parent / "model")
    (folder / "model").symlink_to(folder.parent / "model")


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (link_file, "client.py is a link, which no signature covers"),
        (link_folder, "model is a link, which no signature covers"),
        (
            lambda folder: os.mkfifo(folder / "pipe"),
            "pipe is neither a file nor a folder, which no signature covers",
        ),
    ],
    ids=["a link to a file", "a link to a folder", "a pipe"],
)
def test_links_and_pipes_are_refused_before_anything_is_hashed(
    folder: Path, acme: Pair, plant: Change, said: str
) -> None:
    plant(folder)

    assert refused(folder, acme.public) == f"{folder}/{said}"


def test_a_signature_for_other_files_is_refused(folder: Path, acme: Pair, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").write_text("x")
    signature = signing.signer(acme.private).sign_folder(other)
    shutil.copy(signature, folder / "model.sig")

    what = refused(folder, acme.public)

    assert what.startswith(f"{folder} is not as it was signed: LICENCES.md was added, ")
    assert what.endswith(" more")


def test_a_signature_of_another_key_is_refused(folder: Path, acme: Pair, tmp_path: Path) -> None:
    other = keys.pair(tmp_path, "other")

    what = refused(folder, other.public)

    assert what.startswith(f"{folder}/model.sig is no signature of {other.public}: Key mismatch")


def test_a_signature_that_claims_another_key_is_refused(
    folder: Path, acme: Pair, tmp_path: Path
) -> None:
    """Its hint alone says which key made it: the signature over it must be right."""
    mallory = keys.pair(tmp_path, "mallory")
    hint = json.loads((folder / "model.sig").read_text())["verificationMaterial"]
    append(folder / "client.py")
    (folder / "model.sig").unlink()
    signing.signer(mallory.private).sign_folder(folder)
    forged = json.loads((folder / "model.sig").read_text())
    for material in (hint, {"publicKey": {"hint": None}}):
        forged["verificationMaterial"] = material
        (folder / "model.sig").write_text(json.dumps(forged))

        what = refused(folder, acme.public)

        assert what == f"{folder}/model.sig is no signature of {acme.public}: InvalidSignature"


def test_files_that_a_signature_leaves_out_are_no_part_of_what_was_signed(
    folder: Path, acme: Pair
) -> None:
    """The library lets a signature name what is not looked at. A folder that was signed so is
    refused where such a file is there."""
    (folder / "model.sig").unlink()
    hashing = (
        signing.library("hashing").Config().set_ignored_paths(paths=["model.sig", "client.py"])
    )
    config = signing.library("signing").Config().use_elliptic_key_signer(private_key=acme.private)
    config.set_hashing_config(hashing).sign(folder, folder / "model.sig")

    assert refused(folder, acme.public).endswith("client.py was added")


def replaced(content: bytes) -> Change:
    return lambda file: file.write_bytes(content)


def sparse(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(50 << 30)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def link(file: Path) -> None:
    file.rename(file.with_name("elsewhere.sig"))
    file.symlink_to("elsewhere.sig")


def statement(**changed: object) -> bytes:
    """A signature that says this, and that nobody made."""
    payload = base64.b64encode(json.dumps(changed).encode()).decode()
    envelope = {"payload": payload, "payloadType": "x", "signatures": [{"sig": "AAAA"}]}
    return json.dumps({"dsseEnvelope": envelope}).encode()


HOSTILE: dict[str, tuple[Change, str]] = {
    "sparse": (sparse, "is not read: it has 53.7\u2009GB, "),
    "a pipe": (pipe, "is not read: it is a pipe"),
    "a link": (link, "is not read: it is a link, which is not followed"),
    "empty": (replaced(b""), "is no signature of "),
    "deep": (replaced(b"[" * 1_000_000), "is no signature of "),
    "deep and whole": (replaced(b"[" * 100_000 + b"]" * 100_000), "is no signature of "),
    "a number": (replaced(b"1e999"), "is no signature of "),
    "no utf-8": (replaced(b"\xff\xfe"), "is no signature of "),
    "escapes": (replaced(b'{"\\u001b[31m": 1}'), "is no signature of "),
    "nobody's": (replaced(statement(predicate={"resources": []})), "is no signature of "),
}


@pytest.mark.parametrize(("plant", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_signature_of_a_stranger_is_one_line(
    folder: Path, acme: Pair, plant: Change, said: str
) -> None:
    plant(folder / "model.sig")

    assert refused(folder, acme.public).startswith(f"{folder}/model.sig {said}")


def test_without_a_signature_it_is_named(folder: Path, acme: Pair) -> None:
    (folder / "model.sig").unlink()

    assert refused(folder, acme.public) == (
        f"{folder} has no signature: there is no {folder}/model.sig"
    )
    assert refused(folder / "model/model.onnx", acme.public).startswith(
        f"{folder}/model/model.onnx"
    )


# One file with its external data


@pytest.fixture
def signed_file(acme: Pair, tmp_path: Path) -> Path:
    """A model with external data beside other files, and a signature of its own."""
    whole = onnx.load(small.layer(tmp_path / "net.onnx"))
    file = tmp_path / "net.onnx"
    onnx.save(whole, file, save_as_external_data=True, location="w.bin", size_threshold=0)
    signing.signer(acme.private).sign(
        tmp_path, [Path("net.onnx"), Path("w.bin")], tmp_path / "net.onnx.sig"
    )
    (tmp_path / "notes.txt").write_text("not signed, and not read")
    return file


def test_a_file_has_a_signature_beside_it_over_its_external_data_too(
    signed_file: Path, acme: Pair
) -> None:
    verified = verify(signed_file, Trusted(acme.public))

    assert [state.path.name for state in verified.states] == ["net.onnx", "w.bin"]
    flip(signed_file.with_name("w.bin"))
    assert refused(signed_file, acme.public).endswith("w.bin was changed")
    signed_file.with_name("w.bin").unlink()
    assert refused(signed_file, acme.public).endswith("w.bin was removed")


def test_external_data_that_is_not_signed_is_not_read(acme: Pair, tmp_path: Path) -> None:
    whole = onnx.load(small.layer(tmp_path / "net.onnx"))
    file = tmp_path / "net.onnx"
    onnx.save(whole, file, save_as_external_data=True, location="w.bin", size_threshold=0)
    signing.signer(acme.private).sign(tmp_path, [Path("net.onnx")], tmp_path / "net.onnx.sig")

    with pytest.raises(InputError, match=r"w\.bin belongs to the model, and is not signed"):
        check(file, ["reference"], verify=verify(file, Trusted(acme.public)))


def test_a_signature_of_another_file_is_refused(signed_file: Path, acme: Pair) -> None:
    other = signed_file.with_name("other.onnx")
    shutil.copy(signed_file, other)
    shutil.copy(signed_file.with_name("net.onnx.sig"), other.with_name("other.onnx.sig"))

    assert refused(other, acme.public) == (
        f"{other} is not among the files that {other}.sig is for"
    )


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "", "\0"])
def test_a_name_that_leads_out_of_the_folder_opens_nothing(
    signed_file: Path, acme: Pair, name: str
) -> None:
    planted = statement(predicate={"resources": [{"name": name}, {"name": "net.onnx"}]})
    signed_file.with_name("net.onnx.sig").write_bytes(planted)

    assert refused(signed_file, acme.public).startswith("the signature names '")


def test_a_file_that_changes_after_it_was_verified_is_not_read(
    signed_file: Path, acme: Pair
) -> None:
    verified = verify(signed_file, Trusted(acme.public))
    append(signed_file.with_name("w.bin"))

    with pytest.raises(InputError) as caught:
        check(signed_file, ["reference"], verify=verified)

    assert caught.value.what.startswith(
        f"{signed_file.with_name('w.bin')} changed after its signature was verified: it had "
    )


def test_a_file_that_changes_while_it_is_hashed_is_refused(
    signed_file: Path, acme: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written with the same bytes, and the hash is right: it may have been other ones meanwhile."""
    compare = verifying._compare

    def meanwhile(*arguments: object) -> str:
        data = signed_file.read_bytes()
        signed_file.write_bytes(data)
        os.utime(signed_file, ns=(1, 1))
        return compare(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verifying, "_compare", meanwhile)

    with pytest.raises(InputError, match="changed while the command ran: it was written to"):
        verify(signed_file, Trusted(acme.public))


# Keys


def test_a_key_may_have_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = keys.pair(tmp_path, "locked", b"open sesame")
    monkeypatch.delenv(signing.PASSPHRASE, raising=False)

    with pytest.raises(InputError, match="has a passphrase, and no terminal is here"):
        signing.signer(locked.private)
    monkeypatch.setenv(signing.PASSPHRASE, "wrong")
    with pytest.raises(InputError, match="the passphrase does not open"):
        signing.signer(locked.private)
    monkeypatch.setenv(signing.PASSPHRASE, "open sesame")

    assert signing.signer(locked.private).signed_by == fingerprint(locked.public)


def test_no_program_that_a_command_starts_has_the_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of a command takes it out of its environment; a user's own keeps it."""
    locked = keys.pair(tmp_path, "locked", b"open sesame")
    monkeypatch.setenv(signing.PASSPHRASE, "open sesame")

    signing.signer(locked.private)
    kept = os.environ.get(signing.PASSPHRASE)
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    signing.signer(locked.private)

    assert kept == "open sesame"
    assert signing.PASSPHRASE not in os.environ


NET = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.score = torch.nn.Linear(8, 3)

    def forward(self, x):
        return torch.relu(self.score(x))
"""


def test_an_export_is_signed_and_its_passphrase_is_asked_for_at_a_terminal(tmp_path: Path) -> None:
    locked = keys.pair(tmp_path, "locked", b"open sesame")
    (tmp_path / "net.py").write_text(NET)
    asked = [
        "export",
        "net.py:Net",
        "--input",
        "x:float32[batch,8]",
        "-o",
        "net.onnx",
        "--sign",
        "locked.pem",
    ]
    outer, inner = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [command.TOOLKIT, *asked], cwd=tmp_path, stdin=inner, stdout=inner, stderr=inner
    ) as process:
        os.close(inner)
        while b"Passphrase of locked.pem" not in shown:
            shown += os.read(outer, 4096)
        os.write(outer, b"open sesame\n")
        with contextlib.suppress(OSError):  # So Linux tells the end of a terminal.
            while more := os.read(outer, 4096):
                shown += more
    os.close(outer)

    assert process.returncode == 0, shown.decode()
    assert b"open sesame" not in shown
    assert f"signed by {fingerprint(locked.public)}" in " ".join(shown.decode().split())
    verified = verify(tmp_path / "net.onnx", Trusted(locked.public))
    assert [state.path.name for state in verified.states] == ["net.onnx"]


def test_an_export_that_nobody_proved_is_not_signed(acme: Pair, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    exported = export(
        f"{tmp_path}/net.py:Net",
        tmp_path / "net.onnx",
        input=["x:float32[batch,8]"],
        proof=False,
        sign=acme.private,
    )

    assert exported.signed_by == ""
    assert exported.notes[-1] == "not signed: its proof does not hold"
    assert not (tmp_path / "net.onnx.sig").exists()


def test_a_key_of_another_kind_is_named_with_a_command_that_makes_one(tmp_path: Path) -> None:
    keys.needs_library()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    kinds = {
        "a key of Ed25519; ": ed25519.Ed25519PrivateKey.generate(),
        "a key of RSA; ": rsa.generate_private_key(65537, 2048),
        "a key of the curve secp256k1; ": ec.generate_private_key(ec.SECP256K1()),
    }
    for said, key in kinds.items():
        pair = keys.written(tmp_path, "key", key)
        with pytest.raises(InputError) as private:
            signing.signer(pair.private)
        with pytest.raises(InputError) as public:
            verifying._public_key(pair.public, pair.public.read_bytes())

        assert private.value.what.startswith(f"{pair.private} is {said}model-signing takes")
        assert public.value.what.startswith(f"{pair.public} is {said}model-signing takes")
    cure = private.value.cures[0].partition("    ")[0]
    subprocess.run(["sh", "-c", cure], cwd=tmp_path, check=True, capture_output=True)
    assert signing.signer(tmp_path / "key.pem").signed_by == fingerprint(tmp_path / "key.pub")


def test_a_private_key_is_no_public_one_and_the_cure_writes_it(folder: Path, acme: Pair) -> None:
    with pytest.raises(InputError) as caught:
        verify(folder, Trusted(acme.private))

    assert caught.value.what == f"{acme.private} is no public key in PEM"
    cure = caught.value.cures[0].partition("    ")[0]
    subprocess.run(["sh", "-c", cure], cwd=folder.parent, check=True, capture_output=True)
    assert verify(folder, Trusted(folder.parent / "key.pub"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such key: "), (b"x" * 100_000, "is no key: "), (b"x", "is no private key in PEM")],
    ids=["absent", "large", "none"],
)
def test_what_is_no_key_is_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    keys.needs_library()
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)

    with pytest.raises(InputError) as caught:
        signing.signer(tmp_path / "key.pem")

    assert said in caught.value.what


def test_without_the_library_the_cure_is_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "model_signing.signing", raising=False)

    with pytest.raises(EnvironmentFault) as caught:
        signing.signer(tmp_path / "key.pem")

    assert caught.value.what.startswith("signatures need the library model-signing: ")
    (cure,) = caught.value.cures
    assert cure.startswith(f"{sys.executable} -m pip install model-signing pyopenssl    ")


def test_an_identity_needs_its_issuer_and_no_key() -> None:
    wrong = [
        ("sigstore", "", ""),
        ("sigstore", "jane@example.org", ""),
        ("acme.pub", "jane@example.org", "https://example.org"),
    ]
    for key, identity, issuer in wrong:
        with pytest.raises(InputError, match="belong to --verify sigstore, which needs both"):
            Trusted(Path(key), identity, issuer)

    assert Trusted(Path("sigstore"), "jane@example.org", "https://example.org")


# Folders that are not right, and those that are as a user sees them


def test_what_is_not_proven_right_is_not_signed(acme: Pair, tmp_path: Path) -> None:
    model = small.layer(tmp_path / "layer.onnx")
    refusing = pythons.refusing(EnvironmentFault("no network"))

    (made,) = deploy(
        model,
        ["onnxruntime"],
        tmp_path / "out",
        request=DeployRequest(sign=acme.private),
        make_python=refusing,
    )

    assert (made.proof.outcome, made.signed_by) == ("not made", "")
    assert made.folder is not None
    assert not (made.folder / "model.sig").exists()


def test_a_key_that_cannot_be_used_costs_no_work(tmp_path: Path) -> None:
    keys.needs_library()
    small.layer(tmp_path / "layer.onnx")

    ended = command.run(
        *("deploy", "layer.onnx", "--to", "onnxruntime", "--sign", "gone.pem"), cwd=tmp_path
    )

    assert (ended.code, ended.errors) == (1, ["error: no such key: gone.pem"])
    assert [path.name for path in tmp_path.iterdir()] == ["layer.onnx"]


def test_check_says_whose_signature_it_is_and_judges_what_was_signed(
    folder: Path, acme: Pair
) -> None:
    checked = ("check", folder, "--verify", acme.public, "--target", "reference")

    shown = command.run(*checked, cwd=folder.parent)
    told = command.run(*checked, "--json", cwd=folder.parent)

    lines = shown.out.splitlines()
    assert (shown.code, shown.err) == (0, "")
    assert lines[0] == f"verified {folder}/model.sig: 15 files, signed by"
    assert lines[1].strip() == fingerprint(acme.public)
    assert lines[2].startswith("check    model.onnx · ")
    document = json.loads(told.out)
    assert document["verified"]["signed_by"] == fingerprint(acme.public)
    assert "got/model/weights.bin" in document["verified"]["files"]
    assert document["run"]["plan"]["model"]["name"] == "model.onnx"
    assert "--verify" in document["run"]["command"]


def test_check_refuses_before_the_model_is_opened(folder: Path, acme: Pair) -> None:
    """What is in place of the model would be another error."""
    (folder / "model/model.onnx").write_text("no model at all")

    ended = command.run("check", folder, "--verify", acme.public, cwd=folder.parent)

    assert (ended.code, ended.out) == (1, "")
    assert ended.errors == [
        f"error: {folder} is not as it was signed: model/model.onnx was changed"
    ]


def test_a_folder_without_an_onnx_is_verified_alone(acme: Pair, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "model").mkdir(parents=True)
    (made / "model/net.tflite").write_bytes(b"x")
    signing.signer(acme.private).sign_folder(made)

    shown = command.run("check", "made", "--verify", acme.public, cwd=tmp_path)
    told = command.run("check", "made", "--verify", acme.public, "--json", cwd=tmp_path)
    bare = command.run("check", "made", cwd=tmp_path)

    assert (shown.code, told.code, bare.code) == (0, 0, 1)
    assert shown.out.splitlines()[2] == (
        "check    made has no .onnx file: there are no answers to judge here"
    )
    assert json.loads(told.out)["run"] is None
    assert bare.errors == ["error: made is a folder, not an .onnx file"]


def test_the_python_api_verifies_too(folder: Path, acme: Pair) -> None:
    import toolkit

    finished = toolkit.check(folder, ["reference"], verify=acme.public)
    append(folder / "client.py")

    assert finished.verified is not None
    assert finished.verified.signed_by == fingerprint(acme.public)
    assert finished.run.records[0].right
    with pytest.raises(InputError, match=r"client\.py was changed"):
        toolkit.check(folder, ["reference"], verify=acme.public)


@pytest.mark.slow
def test_a_folder_is_signed_and_verified_by_the_command_line(acme: Pair, tmp_path: Path) -> None:
    """Its environment is installed from the index."""
    small.layer(tmp_path / "layer.onnx")

    made = command.run(
        *("deploy", "layer.onnx", "--to", "onnxruntime", "--sign", acme.private, "--json"),
        cwd=tmp_path,
    )
    checked = command.run(
        *("check", "deployed/layer/onnxruntime", "--verify", acme.public), cwd=tmp_path
    )

    assert (made.code, checked.code) == (0, 0), made.err + checked.err
    (row,) = json.loads(made.out)["deployed"]
    assert row["signed_by"] == fingerprint(acme.public)
    assert checked.out.splitlines()[0].startswith("verified deployed/layer/onnxruntime/model.sig: ")


def test_states_are_those_that_the_whole_program_compares(signed_file: Path, acme: Pair) -> None:
    verified = verify(signed_file, Trusted(acme.public))

    assert verified.states[0] == filestates.of(signed_file)
