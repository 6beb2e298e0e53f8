"""Keys, envelopes and signed manifests."""

from privacy.sealing.envelope import open_envelope, seal
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.sealing.manifest import Manifest, sign_manifest, verify_manifest

__all__ = [
    "Manifest",
    "SealingKey",
    "SigningKey",
    "open_envelope",
    "seal",
    "sign_manifest",
    "verify_manifest",
]
