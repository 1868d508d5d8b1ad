"""The certificates of a cluster, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.errors import HarnessError, MissingError

_DAYS = "365"
_CURVE = ("-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority of one cluster, and what it signed, in a folder; what is there stays."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self._own.certificate

    @property
    def key(self) -> Path:
        return self._own.key

    @property
    def _own(self) -> Pair:
        more = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        return self._make("authority", "/CN=cloche-test-authority", more)

    def issue(self, name: str, subject: str, names: Sequence[str] = ()) -> Pair:
        """Return the certificate of a server and client.

        `subject` is a user as Kubernetes reads it: `/O=GROUP/CN=USER`; `names` are `DNS:…` and
        `IP:…`.
        """
        more = ["-CA", str(self.certificate), "-CAkey", str(self.key)]
        more += ["-addext", "basicConstraints=critical,CA:FALSE"]
        more += ["-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        if names:
            more += ["-addext", f"subjectAltName={','.join(names)}"]
        return self._make(name, subject, more)

    def signing_key(self) -> Pair:
        """Return the key that signs the tokens of service accounts, and its public part."""
        pair = Pair(self.folder / "tokens.pub", self.folder / "tokens.key")
        if not pair.certificate.exists():
            _openssl("genpkey", "-algorithm", "EC", *_CURVE, "-out", str(pair.key))
            _openssl("pkey", "-in", str(pair.key), "-pubout", "-out", str(pair.certificate))
        return pair

    def _make(self, name: str, subject: str, more: Sequence[str]) -> Pair:
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        if not pair.certificate.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _openssl(
                "req", "-x509", "-newkey", "ec", *_CURVE, "-noenc", "-days", _DAYS,
                "-subj", subject, "-keyout", str(pair.key), "-out", str(pair.certificate), *more,
            )  # fmt: skip
        return pair


def _openssl(*words: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise MissingError("needs OpenSSL 3 (Debian and Ubuntu: apt install openssl)")
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        raise HarnessError(f"openssl {words[0]} failed: {done.stderr.strip()[-500:]}")
