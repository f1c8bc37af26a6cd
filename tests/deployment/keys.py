"""Keys for signatures, made by the library that toolkit signs with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A private key and its public one, in PEM."""

    private: Path
    public: Path


def pair(folder: Path, name: str = "acme", passphrase: bytes | None = None) -> Pair:
    """A new pair of the curve P-256. Skips where the library is missing."""
    needs_library()
    from cryptography.hazmat.primitives.asymmetric import ec

    return written(folder, name, ec.generate_private_key(ec.SECP256R1()), passphrase)


def written(folder: Path, name: str, key: object, passphrase: bytes | None = None) -> Pair:
    """Writes a pair of any kind, such as `openssl` does."""
    from cryptography.hazmat.primitives import serialization as forms

    locked = forms.BestAvailableEncryption(passphrase) if passphrase else forms.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, locked)  # type: ignore[attr-defined]
    )
    public.write_bytes(
        key.public_key().public_bytes(  # type: ignore[attr-defined]
            forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Pair(private, public)


def needs_library() -> None:
    """Skips, or fails where nothing may be skipped, without model-signing."""
    from tests import needs

    try:
        import model_signing  # noqa: F401
    except ModuleNotFoundError as error:
        needs.absent(f"there is no module {error.name}")
