"""Recorded answers of a real vCenter 8.0.3 through the codec: parsed to types, written again, compared structurally."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from pyVmomi import VmomiSupport, vim, vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer

from providers.twin.soap.answer import result_envelope
from providers.twin.soap.request import parse_request

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "recordings"
NAMES = ("basic_container_view", "iso8601_set_datetime", "test_json_datastore_explode", "test_json_host_explode")
BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded vCenter answers: the folder {FOLDER.name} is not beside the repository")


def _interactions(name: str) -> list[tuple[str, str]]:
    """Request and response bodies of one recording, SOAP calls only."""
    with (FOLDER / f"{name}.yaml").open(encoding="utf-8") as file:
        recorded = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [(each["request"]["body"], each["response"]["body"]["string"]) for each in recorded["interactions"]
            if each["request"]["body"]]


def _answer(envelope: str | bytes) -> ElementTree.Element:
    body = ElementTree.fromstring(envelope).find(BODY)
    assert body is not None
    (answer,) = body
    return answer


def _shape(element: ElementTree.Element) -> Any:
    """An element as data: name, attributes, children in order, text. Times and numbers by value, not by spelling."""
    attributes = {name.rpartition("}")[2]: value.rpartition(":")[2] for name, value in element.attrib.items()}
    text = (element.text or "").strip() if not len(element) else ""
    return element.tag.rpartition("}")[2], attributes, _plain(text), [_shape(child) for child in element]


def _plain(text: str) -> str:
    time = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", text)
    if time:
        return f"{time.group(1)}.{(time.group(2) or '.0')[1:].ljust(6, '0')[:6]}Z"
    return str(float(text)) if re.fullmatch(r"-?\d+\.\d+([eE][-+]?\d+)?", text) else text


@pytest.mark.parametrize("name", NAMES)
def test_answers_survive_the_codec(name: str) -> None:
    calls = 0
    for asked, answered in _interactions(name):
        request = parse_request(asked.encode(), '"urn:vim25/8.0.3.0"')
        value = SoapResponseDeserializer(None).Deserialize(answered.encode(), request.result)
        written = result_envelope(request, value)
        before, after = _shape(_answer(answered)), _shape(_answer(written))
        assert after == before, f"{request.method} of {request.wire}: {request.arguments}"
        calls += 1
    assert calls >= 3


def test_the_recorded_write_is_read_as_typed_arguments() -> None:
    found = [parse_request(asked.encode()) for asked, _ in _interactions("iso8601_set_datetime")]
    (write,) = [each for each in found if each.method == "UpdateDateTime"]
    assert write.wire == "HostDateTimeSystem"
    assert write.arguments["dateTime"].utcoffset() is not None


def test_property_paths_of_a_real_host_keep_their_types() -> None:
    kinds = {}
    for asked, answered in _interactions("test_json_host_explode"):
        request = parse_request(asked.encode())
        if request.method == "Fetch" and request.wire == "HostSystem":
            kinds[request.arguments["prop"]] = SoapResponseDeserializer(None).Deserialize(answered.encode(), object)
    assert isinstance(kinds["runtime"], vim.host.RuntimeInfo)
    assert isinstance(kinds["hardware"].memorySize, VmomiSupport.long)
    assert isinstance(kinds["parent"], vim.ClusterComputeResource)
    assert isinstance(kinds["config"].option[0], vim.option.OptionValue)
    assert isinstance(kinds["configIssue"][0], vim.event.RemoteTSMEnabledEvent)
    assert not isinstance(kinds["name"], vmodl.MethodFault)
