"""The shape of a twin's host beside a recorded real one (ESXi 8.0.3), and the baseline that plans assume."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.twin.core.service import version_name
from providers.twin.facts.firewall import allows, rulesets
from providers.twin.facts.options import options
from providers.twin.facts.services import SERVICES
from tests.support.twin import host, make_house, vcenter

RECORDING = Path(__file__).parents[5] / "shared" / "recordings" / "test_json_host_explode.yaml"


@cache
def recorded_config() -> Any:
    """`config` of the recorded host."""
    from pyVmomi import vim
    from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapter

    if not RECORDING.exists():
        pytest.skip(f"recordings are not part of the project: no {RECORDING}")
    content = yaml.load(RECORDING.read_text(), Loader=yaml.CSafeLoader)
    bodies = [each["response"]["body"]["string"] for each in content["interactions"]]
    body = next(each for each in bodies if "HostConfigInfo" in str(each)[:2000])
    stub = SoapStubAdapter("recorded", poolSize=0, version=version_name())
    raw = body.encode() if isinstance(body, str) else body
    return SoapResponseDeserializer(stub).Deserialize(io.BytesIO(raw), vim.host.ConfigInfo)


def test_services_and_rulesets_are_those_of_a_real_host() -> None:
    real = recorded_config()
    assert {each.key: each.label for each in real.service.service} == {
        key: fact.label for key, fact in SERVICES.items()}
    assert {each.key for each in real.firewall.ruleset} == set(rulesets())
    assert {each.key for each in real.firewall.ruleset if each.required} == {
        key for key, fact in rulesets().items() if fact.required}


def test_options_have_the_types_of_a_real_host() -> None:
    real = {each.key: type(each.value).__name__ for each in recorded_config().option}
    ours = {key: {"l": "long", "i": "int", "b": "bool"}.get(fact.kind, "str") for key, fact in options().items()}
    assert {key: kind for key, kind in ours.items() if real.get(key, kind) != kind} == {}
    assert sorted(set(ours) - set(real)) == []


def test_options_have_the_limits_of_a_real_host() -> None:
    real = {each.key: each.optionType for each in recorded_config().optionDef}
    wrong = {key: (fact.low, fact.high, fact.default) for key, fact in options().items()
             if fact.kind in ("l", "i")
             and (fact.low, fact.high, fact.default) != (real[key].min, real[key].max, real[key].defaultValue)}
    assert wrong == {}


def test_a_switch_has_the_fields_of_a_real_one() -> None:
    real = recorded_config().network
    ours = host(vcenter(make_house(hosts=1), codec=True)).config.network

    def fields(value: Any) -> Any:
        """Names of set fields, deeply; lists by their first item."""
        from pyVmomi import VmomiSupport

        if isinstance(value, VmomiSupport.DataObject):
            return {name: fields(each) for name, each in vars(value).items() if each not in (None, [])}
        return fields(value[0]) if isinstance(value, list) else type(value).__name__

    assert fields(ours.vswitch[0]) == fields(real.vswitch[0])
    assert fields(ours.portgroup[1]) == fields(real.portgroup[0])  # "VM Network"
    extra = {"fcoeConfiguration", "ipV6Config"}
    assert set(fields(real.pnic[0])) - set(fields(ours.pnic[0])) <= extra
    assert set(fields(real.vnic[0])["spec"]) == set(fields(ours.vnic[0])["spec"])


def test_what_a_host_lets_out() -> None:
    assert allows({"httpClient": True}, "tcp", 443)
    assert not allows({}, "tcp", 8443)
    assert not allows({}, "udp", 514)
    assert allows({"syslog": True}, "udp", 514)
