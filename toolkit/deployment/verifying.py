"""Verifies the signature of a folder or of a model file, before anything else reads it.

V1  The signature may be anybody's: it is read as a file of a stranger, and nothing in it is
    believed before the key has said that it is right. Names in it lead out of no folder.
V2  A file that was changed, added or removed is an error, and so is a link.
V3  What was verified is what is read: the files' states are taken before they are hashed, and
    compared after it and whenever the model's files are looked at again.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit.deployment import signing
from toolkit.deployment.base import MODEL, ONNX
from toolkit.errors import InputError, RunError, demand_room, os_reason
from toolkit.onnxfiles import filestates
from toolkit.onnxfiles.filestates import FileState
from toolkit.records import untrusted
from toolkit.supervision import progress
from toolkit.units import Bytes

LARGEST: Bytes = 16 << 20
"""The most that is read of a signature: that of a folder of 50,000 files has 10 MB."""
SHOWN = 8
"""Files that are named where many are not as they were signed."""


@dataclass(frozen=True)
class Trusted:
    """Whose signature is asked for: a public key's, or by sigstore that of an identity."""

    key: Path
    """A public key in PEM; `sigstore`: the identity counts."""
    identity: str = ""
    """The name to which a keyless signature is bound: an address of mail, or that of a workflow."""
    issuer: str = ""
    """The address of who states that identity: https://accounts.google.com"""

    def __post_init__(self) -> None:
        is_named = bool(self.identity and self.issuer)
        if (str(self.key) == signing.KEYLESS) != is_named or bool(self.identity or self.issuer) != (
            is_named
        ):
            raise InputError(
                "--identity and --issuer belong to --verify sigstore, which needs both",
                "--verify sigstore --identity jane@example.org --issuer https://accounts.google.com"
                "    is a keyless signature of hers",
            )


@dataclass(frozen=True)
class Verified:
    """Files that are as they were signed."""

    signature: Path
    signed_by: str
    """The fingerprint of the key, 'sha256:…'; or an identity and who states it."""
    states: tuple[FileState, ...]
    """The files that are signed, as they were when they were hashed."""
    model: Path | None
    """The .onnx that was meant; None: the folder has none."""

    def demand_covers(self, states: Sequence[FileState]) -> None:
        """Raises InputError for a file that is not signed, or is another one by now (V3)."""
        known = {os.path.realpath(state.path): state for state in self.states}
        for state in states:
            name = untrusted.words(state.path)
            signed = known.get(os.path.realpath(state.path))
            if signed is None:
                raise InputError(f"{name} belongs to the model, and is not signed")
            if replace(state, path=signed.path) != signed:
                change = signed.change() or "it was another file when it was read"
                raise InputError(
                    f"{name} changed after its signature was verified: {change}", filestates.CURE
                )


def verified(path: Path, trusted: Trusted) -> Verified:
    """Verifies the folder, or the model file, and says whose signature it has.

    Raises InputError for everything else than a right signature over these very files.
    """
    folder, signature = _place(path)
    content = _read(signature)
    named = _named(content) if signature.name != signing.SIGNATURE else None
    states = signing.states(folder) if named is None else _states(folder, named)
    if path.is_file() and not any(_is_same(state.path, path) for state in states):
        raise InputError(f"{path} is not among the files that {signature} is for")
    hashing = signing.chosen([state.path for state in states])
    signed_by = _compare(folder, signature, content, trusted, hashing)
    filestates.demand_unchanged(states)
    return Verified(signature, signed_by, tuple(states), model_of(path))


def model_of(path: Path) -> Path | None:
    """The .onnx that a path means: itself, or that of a folder; None: the folder has none.

    Raises InputError for a folder with several.
    """
    if not path.is_dir():
        return path
    if (path / ONNX).is_file():
        return path / ONNX
    several = sorted(path.glob("*.onnx"))
    if len(several) > 1:
        cures = [f"toolkit check {shlex.quote(str(file))}" for file in several[:SHOWN]]
        raise InputError(f"{path} has {len(several)} .onnx files: name one of them", *cures)
    return several[0] if several else None


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _place(path: Path) -> tuple[Path, Path]:
    """The folder whose files are signed, and the signature: of a file its own where it has one,
    else that of its folder, or of the one above `model/`. Raises InputError where there is none."""
    if path.is_dir():
        places = [path / signing.SIGNATURE]
    elif path.is_symlink():
        raise signing.unsigned(path)
    elif not os.path.lexists(path):
        raise InputError(f"no such file: {path}")
    else:
        places = [path.with_name(path.name + signing.SUFFIX), path.parent / signing.SIGNATURE]
        if path.absolute().parent.name == MODEL:
            places.append(path.absolute().parent.parent / signing.SIGNATURE)
    for place in places:
        if os.path.lexists(place):
            return place.parent, place
    raise InputError(
        f"{path} has no signature: there is no {places[0]}",
        "toolkit deploy M.onnx --to NAME --sign KEY    signs the folders that it makes",
    )


def _read(signature: Path) -> bytes:
    try:
        return untrusted.read(signature, LARGEST)
    except RunError as error:
        raise InputError(error.what) from error
    except OSError as error:
        raise InputError(f"{signature} cannot be read: {os_reason(error)}") from error


def _statement(content: bytes) -> dict[str, Any]:
    """What a signature says, which nobody has verified. Raises ValueError for another thing."""
    try:
        payload = json.loads(content)["dsseEnvelope"]["payload"]
        statement: dict[str, Any] = json.loads(base64.b64decode(payload, validate=True))
        resources = statement["predicate"]["resources"]
        if not all(isinstance(each["name"], str) for each in resources):
            raise TypeError("a name is none")
    except (KeyError, TypeError, RecursionError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no signature ({type(error).__name__})") from error
    return statement


def _named(content: bytes) -> list[str]:
    """The files that a signature names. Raises InputError for a name that leads elsewhere (V1)."""
    try:
        names = [each["name"] for each in _statement(content)["predicate"]["resources"]]
    except ValueError as error:
        raise InputError(f"the signature cannot be read: {untrusted.words(error)}") from error
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or name in ("", "."):
            shown = untrusted.words(repr(name))
            raise InputError(f"the signature names {shown}, which is not in its folder")
    return names


def _states(folder: Path, names: Sequence[str]) -> list[FileState]:
    """Files that a signature names, as they are now; those that are not there are left out, so that
    they differ. Raises InputError for a link, also on the way to one (V2)."""
    states = []
    for name in dict.fromkeys(names):
        path = folder / name
        for each in (path, *path.parents[: len(PurePosixPath(name).parts) - 1]):
            if each.is_symlink():
                raise signing.unsigned(each)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            state = path.lstat()
            if not stat.S_ISREG(state.st_mode):
                raise signing.unsigned(path)
            states.append(filestates.of(path, state))
    return states


def _compare(folder: Path, signature: Path, content: bytes, trusted: Trusted, hashing: Any) -> str:
    """Lets the library verify; returns whose signature it is. Raises InputError."""
    with contextlib.ExitStack() as stack:
        config, signed_by = _verifier(trusted, stack)
        config.set_hashing_config(hashing)
        file = stack.enter_context(signing.in_memory(content))
        # It prints warnings, and stdout is for the results alone.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        try:
            with progress.waiting(f"verifying {folder.name}"):
                config.verify(folder, file)
        except MemoryError:
            raise
        except Exception as error:  # Of JSON, of the schema, of the key: it has no type of its own.
            demand_room(error)
            if hashing.made is not None:
                raise _different(folder, signature, content, hashing.made) from error
            what = f"{signature} is no signature of {trusted.identity or trusted.key}"
            if hashing.began:
                what = f"{folder} cannot be compared with its signature"
            raise InputError(f"{what}: {untrusted.words(error)}") from error
    return signed_by


def _verifier(trusted: Trusted, stack: contextlib.ExitStack) -> tuple[Any, str]:
    """The library's verifier for a key or an identity, and what the signer is called."""
    config = signing.library("verifying").Config()
    if str(trusted.key) == signing.KEYLESS:
        with signing.keyless("verified"):
            config.use_sigstore_verifier(identity=trusted.identity, oidc_issuer=trusted.issuer)
        return config, f"{trusted.identity} ({trusted.issuer})"
    data = signing.read_key(trusted.key)
    public = _public_key(trusted.key, data)
    config.use_elliptic_key_verifier(public_key=stack.enter_context(signing.in_memory(data)))
    return config, signing.fingerprint(public)


def _public_key(key: Path, data: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        public = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        writes = f"openssl ec -in {shlex.quote(str(key))} -pubout -out key.pub"
        cures = [f"{writes}    writes its public one"] if b"PRIVATE KEY" in data else []
        raise InputError(f"{key} is no public key in PEM", *cures) from error
    signing.demand_curve(key, public, public)
    return public


def _different(folder: Path, signature: Path, content: bytes, made: Any) -> InputError:
    """Names the files that are not as they were signed; the signature is that of the key."""
    predicate = _statement(content)["predicate"]
    wanted = {each["name"]: each["digest"] for each in predicate["resources"]}
    method = predicate["serialization"]
    if (method["method"], method["hash_type"]) != ("files", "sha256"):
        shown = untrusted.words(f"{method['hash_type']} of {method['method']}")
        return InputError(f"{signature} has {shown}; toolkit compares sha256 of whole files")
    now = {each.identifier: each.digest.digest_hex for each in made.resource_descriptors()}
    lines = [*_changes(wanted, now)]
    more = [f"and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return InputError(
        f"{folder} is not as it was signed: {', '.join([*lines[:SHOWN], *more])}",
        "a folder that was used has more files than were signed (.venv, build …): verify a fresh"
        " copy",
    )


def _changes(wanted: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for name in sorted({*wanted, *now}):
        if name not in now:
            yield f"{untrusted.words(name)} was removed"
        elif name not in wanted:
            yield f"{untrusted.words(name)} was added"
        elif wanted[name] != now[name]:
            yield f"{untrusted.words(name)} was changed"
