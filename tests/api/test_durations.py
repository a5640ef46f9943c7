from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyos_api import durations
from vyos_api.durations import Duration, DurationError


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (5000, 5000),
        (86_400_000, 86_400_000),
        ("0s", 0),
        ("300ms", 300),
        ("20s", 20_000),
        ("1m30s", 90_000),
        ("0.5s", 500),
        ("1.5m", 90_000),
        ("0.001h", 3_600),
        ("0.005s", 5),
        ("1s500ms", 1_500),
        ("24h", 86_400_000),
        ("99999999ms", 99_999_999),
    ],
)
def test_read(value: object, ms: int) -> None:
    found = durations.parse(value)
    assert found.ms == durations.parse_ms(value) == ms
    assert str(found) == str(value)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "500",
            "5 s",
            "s",
            "-5s",
            "+5s",
            "1.s",
            ".5s",
            "5S",
            "1e3ms",
            "0.5ms",
            "5us",
            "1.0001s",
            "1d",
            "5s\n",
            "٥s",
        ),
        *("1234567s", "5s" * 11, -1, 86_400_001, 1.5, 5.0, True, None, [], {}, b"5s"),
    ],
)
def test_refused(value: object) -> None:
    with pytest.raises(DurationError) as error:
        durations.parse(value)
    assert str(error.value) == (
        "must be a duration such as 300ms, 20s or 1m30s, or a whole number of milliseconds (without quotes)"
    )


@given(st.integers(0, 99_999_999))
def test_milliseconds_are_exact(ms: int) -> None:
    assert durations.parse_ms(f"{ms}ms") == ms
    assert durations.parse_ms(f"{ms // 3_600_000}h{ms % 3_600_000 // 1000}.{ms % 1000:03}s") == ms


def test_a_duration_is_its_length() -> None:
    assert Duration(5000, "5s") == Duration(5000, 5000)
    assert hash(Duration(5000, "5s")) == hash(Duration(5000, 5000))
    assert durations.parse(Duration(1, "1ms")) == Duration(1, 1)
