"""Addresses, encoding, digests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model import LABEL, Address, SecretRef, Unknown, decode, digest, encode, walk_secrets

NAMES = st.text(min_size=1, max_size=12)
LABELS = st.from_regex(LABEL.pattern.removesuffix(r"\Z"), fullmatch=True)


@given(LABELS, LABELS, st.just("") | NAMES, st.none() | st.tuples(LABELS, st.just("") | NAMES))
def test_addresses_read_back(kind: str, label: str, key: str, child: tuple[str, str] | None) -> None:
    address = Address(kind, label, key, *(child or ("", "")))
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "host", "host.", "host..a", 'host.esx["a"', "host.esx.a.b.c", '["a"].b', "a.b c"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        Address.parse(text)


def test_names_of_addresses() -> None:
    address = Address.parse('host.esx["esx01"].portgroup["VM Network"]')
    assert (str(address.root), address.rtype, address.name) == ('host.esx["esx01"]', "portgroup", "VM Network")
    assert Address.parse("host.esx.dns").name == "dns"


def test_values_survive_encoding() -> None:
    value = {"a": [1, {"b": Unknown("lease")}], "s": SecretRef("env:X"), "t": "x", "n": None, "f": 1.5}
    assert decode(encode(value)) == value
    assert [s.reference for s in walk_secrets(value)] == ["env:X"]


def test_digest_is_of_the_value_and_not_of_its_order() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert digest({"a": Unknown("x")}) != digest({"a": None})


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot encode set"):
        encode({"a": {1, 2}})
