"""The chart's archive, as `make chart` makes it: the whole chart, nothing beside it, rendering as the folder does."""

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from chart.helm import CHART, NAME, RELEASE_NAMESPACE, ROOT, helm, template
from ground.bins import KUBERNETES
from vyos_api import __version__

pytestmark = pytest.mark.apiserver  # helm is built together with the API server


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chart")
    done = subprocess.run(["make", "chart", f"DIST={folder}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    assert made.name == f"{NAME}-{__version__}.tgz"
    return made


def test_content(archive: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "."], cwd=CHART, capture_output=True, text=True, check=True).stdout
    with tarfile.open(archive) as opened:
        assert set(opened.getnames()) == {f"{NAME}/{name}" for name in listed.splitlines()}
        found = opened.extractfile(f"{NAME}/Chart.yaml")
        assert found is not None
        about = yaml.safe_load(found.read())
    assert (about["name"], about["version"], about["appVersion"]) == (NAME, __version__, __version__)
    assert about["kubeVersion"] == ">=1.31.0-0"


def test_it_is_the_chart(archive: Path) -> None:
    helm("lint", "--strict", f"--kube-version={KUBERNETES}", str(archive))
    where = (f"--namespace={RELEASE_NAMESPACE}", f"--kube-version={KUBERNETES}")
    assert helm("template", NAME, str(archive), *where) == template()
