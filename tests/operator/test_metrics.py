"""What the operator counts of its own work, and of the clusters."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vyos_api.reasons import ConditionType
from vyos_operator.metrics import CLUSTERS, ERRORS, SECONDS, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.page().decode())
    return {(s.name, tuple(s.labels.values())): s.value for f in families for s in f.samples}


async def test_looks_and_failures() -> None:
    metrics = Metrics(lambda: ())

    async def look(fail: bool) -> None:
        if fail:
            raise OSError("no way")

    await metrics.timed(look(False))
    with pytest.raises(OSError, match="no way"):
        await metrics.timed(look(True))
    found = samples(metrics)
    assert found[f"{SECONDS}_count", ()] == 2
    assert found[ERRORS, ()] == 1
    assert 0 < found[f"{SECONDS}_sum", ()] < 5


def test_clusters_by_condition_and_no_words_of_others() -> None:
    said = [("Available", "True"), ("Available", "True"), ("Available", "False"), ("Stranger", "True")]
    found = samples(Metrics(lambda: said))
    assert found[CLUSTERS, ("Available", "True")] == 2
    assert found[CLUSTERS, ("Available", "False")] == 1
    assert found[CLUSTERS, ("Degraded", "True")] == 0, "none is a number, not a series that is missing"
    assert {labels[0] for name, labels in found if name == CLUSTERS} == {c.value for c in ConditionType}
