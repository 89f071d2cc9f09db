"""Token buckets per address."""

from __future__ import annotations

import pytest

from providers.midwife import rates
from providers.midwife.rates import Bucket, Buckets, network_of


def test_a_burst_then_the_rate() -> None:
    bucket = Bucket(rate=2.0, burst=5.0)
    assert [bucket.take(1.0, 100.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(1.0, 100.4) is False
    assert bucket.take(1.0, 100.6) is True
    assert [bucket.take(1.0, 900.0) for _ in range(6)] == [True] * 5 + [False]  # never more than a burst


def test_what_is_charged_is_paid_off_later_and_debts_end() -> None:
    bucket = Bucket(rate=1.0, burst=10.0)
    bucket.take(1.0, 0.0)
    for _ in range(100):
        bucket.charge(5.0)
    assert bucket.take(1.0, 10.0) is False
    assert bucket.take(1.0, 11.5) is True


def test_addresses_do_not_share_and_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_ADDRESSES", 10)
    buckets = Buckets(1.0, 1.0)
    assert buckets.take("10.0.0.1", 0.0)
    assert not buckets.take("10.0.0.1", 0.0)
    assert buckets.take("10.0.0.2", 0.0)
    for number in range(50):
        buckets.take(f"10.1.0.{number}", 0.0)
    assert len(buckets) == 10


@pytest.mark.parametrize(("address", "network"), [
    ("10.0.0.1", "10.0.0.1"), ("fd00:1:2:3:4:5:6:7", "fd00:1:2:3::/64"), ("fd00:1:2:3::9%eth0", "fd00:1:2:3::/64"),
    ("::ffff:10.0.0.1", "10.0.0.1"), ("not:an:address", "not:an:address")])
def test_who_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
