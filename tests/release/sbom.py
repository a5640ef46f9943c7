"""Bills of materials in CycloneDX's format, one for each thing that is handed out: `make sbom`.

Made from the lock files, which is what the images and installations by the lock hold, version for version. Not in them:
Python itself and whatever else the base image brings, and licences, of which a lock file says nothing. The same lock
file and version give the same bytes.
"""

from __future__ import annotations

import argparse
import uuid
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.markers import Marker
from packaging.requirements import Requirement

from vyos_api import __version__

ROOT = Path(__file__).resolve().parents[2]
WHAT = {
    "operator": ("vyos-cluster-operator", ComponentType.CONTAINER),
    "agent": ("vyos-cluster-agent", ComponentType.CONTAINER),
    "cli": ("vyos-cluster", ComponentType.APPLICATION),
}
"""By lock file: the image, or the program, that holds what it pins."""
OURSELVES = "vyos-cluster"
PYTHONS = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sbom.cluster.vyos.io")


@dataclass(frozen=True)
class Pin:
    """One package of a lock file."""

    name: str
    version: str
    marker: Marker | None
    """Where it is installed; everywhere without one."""
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed."""
    wanted_by: tuple[str, ...]
    """The packages that ask for it."""

    @property
    def url(self) -> PackageURL:
        """The package's own name in the world."""
        return PackageURL("pypi", name=self.name, version=self.version)

    @property
    def ships(self) -> bool:
        """Whether a Linux with any Python that is supported installs it."""
        if self.marker is None:
            return True
        linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
        python = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
        versions = [{"python_full_version": v, "python_version": v.rpartition(".")[0]} for v in PYTHONS]
        return any(self.marker.evaluate({**linux, **python, **version}) for version in versions)


def pins(text: str) -> list[Pin]:
    """The packages of a lock file, as `make lock` writes it. Raises ValueError where one has no version or no hash."""
    found = []
    for block in _blocks(text):
        wanted = Requirement(block[0].removesuffix("\\"))
        (specifier,) = wanted.specifier
        if specifier.operator != "==":
            raise ValueError(f"{block[0]}: is not pinned; run make lock")
        hashes = [line.partition("sha256:")[2].rstrip(" \\") for line in block[1:] if line.startswith("--hash=sha256:")]
        if not hashes:
            raise ValueError(f"{block[0]}: has no hash; run make lock")
        notes = [line.lstrip("# ").removeprefix("via").strip() for line in block[1:] if line.startswith("#")]
        by = [note.partition(" ")[0] for note in notes if note]
        found.append(Pin(wanted.name, specifier.version, wanted.marker, tuple(hashes), tuple(by)))
    return found


def _blocks(text: str) -> list[list[str]]:
    """Each package's lines, without their indent."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line[:1] not in ("", " ", "#"):
            found.append([line])
        elif found and line.strip():
            found[-1].append(line.strip())
    return found


def bill(extra: str, text: str) -> Bom:
    """The bill of materials of what an extra's lock file is for."""
    name, kind = WHAT[extra]
    licence = DisjunctiveLicense(id="Apache-2.0")
    root = Component(name=name, version=__version__, type=kind, bom_ref=f"{name}@{__version__}", licenses=[licence])
    found = {pin.name: (pin, _component(pin)) for pin in pins(text)}
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, f"{name} {__version__}\n{text}"))
    bom.components = [component for _, component in found.values()]
    bom.metadata.component = root
    bom.metadata.timestamp = None  # type: ignore[assignment]  # left out: it would differ each time
    bom.metadata.tools.components.add(this_component())
    for wanting, component in ((OURSELVES, root), *((name, c) for name, (_, c) in found.items())):
        bom.register_dependency(component, [c for pin, c in found.values() if wanting in pin.wanted_by])
    return bom


def _component(pin: Pin) -> Component:
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(pin.url)),
        comment="one of the files with these hashes",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes],
    )
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(pin.url),
        purl=pin.url,
        scope=ComponentScope.REQUIRED if pin.ships else ComponentScope.EXCLUDED,
        external_references=[files],
        properties=[Property(name="cluster.vyos.io:marker", value=str(pin.marker))] if pin.marker else [],
    )


def write(folder: Path) -> list[Path]:
    """Write all bills into a folder; which files."""
    written = []
    for extra, (name, _) in WHAT.items():
        bom = bill(extra, (ROOT / f"requirements/{extra}.lock").read_text())
        path = folder / f"{name}-{__version__}.cdx.json"
        path.write_text(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n")
        written.append(path)
    return written


def main() -> None:
    """Write a bill of materials for each image and for the command line."""
    parser = argparse.ArgumentParser(prog="python -m release.sbom", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="made if it is not there")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    print(*write(folder), sep="\n")


if __name__ == "__main__":
    main()
