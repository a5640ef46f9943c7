"""What `ground deps` does to a machine, tried on folders."""

from pathlib import Path

import pytest

from ground import packages


@pytest.mark.parametrize("there", [False, True])
def test_a_service_that_nobody_asked_for_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    ran: list[tuple[str, ...]] = []
    unit = tmp_path / "system/prometheus.service"
    if there:
        unit.parent.mkdir()
        unit.write_text("[Service]")

    def run(*command: str, **_: object) -> None:
        assert unit.exists() or unit.is_symlink(), "before the package is there"
        ran.append(command)

    monkeypatch.setattr(packages, "UNITS", tmp_path / "system")
    monkeypatch.setattr(packages, "missing", lambda: ["prometheus"])
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(packages, "run", run)
    packages.install()
    assert ran[-1][-1] == "prometheus"
    if there:
        assert unit.read_text() == "[Service]", "somebody's own is left alone"
    else:
        assert unit.readlink() == Path("/dev/null")


def test_what_is_there_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "UNITS", tmp_path / "system")
    monkeypatch.setattr(packages, "missing", list)
    packages.install()
    assert not list(tmp_path.iterdir())


def test_every_masked_service_is_of_a_package_that_is_installed() -> None:
    assert packages.SERVICES.keys() <= packages.PACKAGES.keys()
