"""Signs a folder, or a model file with its external data, by the library model-signing (OpenSSF).

S1  Signed are the names and the SHA-256 of all files of a folder, but of the signature itself;
    beside a model file its own and those of its external data. Links are refused: what they lead to
    may be another file elsewhere.
S2  The library is asked for the files that toolkit has looked at, and for no others: neither its
    own list of files to leave out nor that of a signature holds.
S3  A key or a signature is given to the library as a file that lies on no disk: it reads what was
    looked at, a key may come through a pipe, and no key is left anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import (
    EnvironmentFault,
    InputError,
    demand_room,
    os_reason,
    typed_line,
)
from toolkit.onnxfiles import filestates
from toolkit.onnxfiles.filestates import FileState
from toolkit.records import untrusted
from toolkit.supervision import progress
from toolkit.units import Bytes

SIGNATURE = "model.sig"
"""The signature of a folder, which lies in it."""
SUFFIX = ".sig"
"""Ends the name of a model file's signature, which lies beside it: net.onnx.sig."""
KEYLESS = "sigstore"
"""Stands in place of a key: the signature is bound to an identity, which a service states."""
PASSPHRASE = "TOOLKIT_SIGN_PASSPHRASE"
"""The variable that holds the passphrase of a private key."""
LARGEST_KEY: Bytes = 1 << 16
"""The most that is read of a key: an RSA key of 16,384 bits, which is refused later, has 13 KB."""
CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""The elliptic curves that model-signing takes, as OpenSSL calls them."""
MAKES_KEY = (
    "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
    " && openssl ec -in key.pem -pubout -out key.pub    makes a pair of keys"
)


@dataclass(frozen=True)
class Signer:
    """A private key, or an identity, that is ready to sign."""

    signed_by: str
    """The fingerprint of the key, or what stands in its place."""
    _config: Any = field(repr=False)

    def sign(self, folder: Path, files: Sequence[Path], signature: Path) -> None:
        """Signs these files of a folder, and writes the signature into another one of it.

        Raises InputError where the service of a keyless signature refuses.
        """
        hashing = chosen([folder / file for file in files])
        hashing.set_ignored_paths(paths=[signature.name], ignore_git_paths=False)
        self._config.set_hashing_config(hashing)
        try:
            with progress.waiting(f"signing {folder.name}"):
                self._config.sign(folder, signature)
        except Exception as error:  # The library's, and that of what it asks over a network.
            demand_room(error)
            raise InputError(f"{signature.name} was not made: {typed_line(error)}") from error

    def sign_files(self, files: Sequence[Path], signature: Path) -> None:
        """Signs files that lie in one folder, such as a model with its external data."""
        self.sign(
            signature.parent, [file.relative_to(signature.parent) for file in files], signature
        )

    def sign_folder(self, folder: Path) -> Path:
        """Signs all files of a folder; returns the signature, which lies in it (S1)."""
        signature = folder / SIGNATURE
        files = [state.path.relative_to(folder) for state in states(folder)]
        self.sign(folder, files, signature)
        return signature


def library(name: str) -> Any:
    """A module of model-signing. Raises EnvironmentFault where it is not installed."""
    try:
        return importlib.import_module(f"model_signing.{name}")
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"signatures need the library model-signing: there is no module {error.name} here",
            # model-signing 1.1.1 imports OpenSSL, and does not say so.
            f"{shlex.quote(sys.executable)} -m pip install model-signing pyopenssl"
            "    installs what is missing",
        ) from error


def signer(key: Path) -> Signer:
    """What signs with a private key, or keyless. The variable PASSPHRASE has the passphrase of a
    key that is locked.

    Raises InputError for what is no such key, and EnvironmentFault where the library is missing.
    """
    config = library("signing").Config()
    passphrase = os.environ.get(PASSPHRASE)
    if progress.is_watched():  # This process is ours: no program that it starts needs to know.
        os.environ.pop(PASSPHRASE, None)
    if str(key) == KEYLESS:
        with _network("signed"):
            config.use_sigstore_signer(use_ambient_credentials=True)
        return Signer("an identity, by sigstore", config)
    data = read_key(key)
    private, passphrase = _opened(key, data, passphrase)
    demand_curve(key, private, private.public_key())
    with in_memory(data) as file:
        # The library hands it on to `cryptography`, which takes bytes alone.
        secret = None if passphrase is None else passphrase.encode()
        config.use_elliptic_key_signer(private_key=file, password=secret)
    return Signer(fingerprint(private.public_key()), config)


def is_locked(key: Path) -> bool:
    """Says whether a private key has a passphrase. Raises as `signer` for what is no file, and
    where the library is missing."""
    library("signing")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        serialization.load_pem_private_key(read_key(key), None)
    except TypeError:  # So it says that it needs one.
        return True
    except (ValueError, UnsupportedAlgorithm):
        pass  # It is no key: `signer` says so.
    return False


def _opened(key: Path, data: bytes, passphrase: str | None) -> tuple[Any, str | None]:
    """The private key, and the passphrase that opened it; None: it has none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_pem_private_key(data, None), None
    except TypeError:
        pass  # It has a passphrase.
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{key} is no private key in PEM", MAKES_KEY) from error
    if passphrase is None:
        raise InputError(
            f"{key} has a passphrase, and no terminal is here to ask for it",
            f"{PASSPHRASE}=… toolkit …    gives it",
        )
    try:
        return serialization.load_pem_private_key(data, passphrase.encode()), passphrase
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"the passphrase does not open {key}") from error


def read_key(key: Path) -> bytes:
    """The bytes of a key, which may come through a pipe. Raises InputError."""
    try:
        with key.open("rb") as stream:
            data = stream.read(LARGEST_KEY + 1)
    except FileNotFoundError as error:
        raise InputError(f"no such key: {key}") from error
    except OSError as error:
        raise InputError(f"the key {key} cannot be read: {os_reason(error)}") from error
    if len(data) > LARGEST_KEY:
        raise InputError(f"{key} is no key: it has more than {LARGEST_KEY:,} bytes")
    return data


def demand_curve(key: Path, one: object, public: Any) -> None:
    """Raises InputError for a key of another kind than the library takes."""
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(public, ec.EllipticCurvePublicKey):
        kind = type(one).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").strip("_")
        raise InputError(
            f"{key} is a key of {kind}; model-signing takes those of the elliptic curves P-256,"
            " P-384 and P-521",
            MAKES_KEY,
        )
    if public.curve.name not in CURVES:
        raise InputError(
            f"{key} is a key of the curve {public.curve.name}; model-signing takes P-256, P-384"
            " and P-521",
            MAKES_KEY,
        )


def fingerprint(public: Any) -> str:
    """'sha256:…' of a public key: the digest of its DER, as OpenSSL writes it."""
    from cryptography.hazmat.primitives import serialization

    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


@contextlib.contextmanager
def in_memory(data: bytes) -> Iterator[Path]:
    """A file with these bytes that lies on no disk (S3)."""
    handle = os.memfd_create("toolkit")
    try:
        with open(handle, "wb", closefd=False) as out:
            out.write(data)
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


@contextlib.contextmanager
def _network(done: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Of HTTP, of TUF, of the service: there is no end of kinds.
        raise InputError(
            f"nothing is {done}: sigstore cannot be asked ({typed_line(error)})",
            f"{'--sign' if done == 'signed' else '--verify'} KEY    needs no network",
        ) from error


keyless = _network
"""Tells what goes wrong with sigstore in one line."""


def chosen(files: Sequence[Path]) -> Any:
    """The hashing of exactly these files (S2)."""

    class ChosenFiles(library("hashing").Config):  # type: ignore[misc]
        began = False
        """It was asked for a manifest: the key of a signature has said yes by then."""
        made: Any = None
        """The manifest."""

        def hash(self, model_path: Any, *, files_to_hash: object = None) -> Any:
            self.began = True
            self.made = super().hash(model_path, files_to_hash=list(files))
            return self.made

        def add_ignored_paths(self, *, model_path: object, paths: object) -> None:
            """Leaves out nothing, whatever a signature says."""

    return ChosenFiles().set_ignored_paths(paths=[], ignore_git_paths=False)


def states(folder: Path) -> list[FileState]:
    """All files of a folder but its signature, as they are now, by their names.

    Raises InputError for a link, and for what is no file (S1).
    """
    found: list[FileState] = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted((*folders, *names)):
            path = Path(parent, name)
            state = path.lstat()
            if stat.S_ISREG(state.st_mode):
                if path != folder / SIGNATURE:
                    found.append(filestates.of(path, state))
            elif not stat.S_ISDIR(state.st_mode):
                raise unsigned(path)
    return found


def unsigned(path: Path) -> InputError:
    """The error for what no signature can hold."""
    kind = "a link" if path.is_symlink() else "neither a file nor a folder"
    return InputError(f"{untrusted.words(path)} is {kind}, which no signature covers")


def _raise(error: OSError) -> None:
    name = untrusted.words(error.filename)
    raise InputError(f"{name} cannot be read: {os_reason(error)}") from error
