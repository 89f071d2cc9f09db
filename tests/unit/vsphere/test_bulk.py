"""The streaming reader of bulk answers gives what pyVmomi gives, and refuses what is no answer."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim, vmodl

from providers.twin.core.meta import field_types
from providers.vsphere.bulk.answer import Reader
from providers.vsphere.bulk.context import BadAnswer
from providers.vsphere.bulk.pieces import Pieces
from tests.support.wire_values import HEAD, TAIL, VERSION, Stub, answer, by_pyvmomi, content_xml, difference, value

KINDS: dict[str, Any] = {f"config.{name}": kind for name, kind in sorted(field_types(vim.host.ConfigInfo).items())
                         if not name.startswith("dynamic")}
KINDS |= {"runtime": vim.host.RuntimeInfo, "parent": vim.ManagedEntity, "vm": Vm.GetVmodlType("vim.VirtualMachine[]"),
          "name": str, "configIssue": Vm.GetVmodlType("vim.event.Event[]"), "summary": vim.host.Summary}
seeds = st.integers(0, 2**32)


def read(document: bytes, reader: Reader | None = None) -> Any:
    return (reader or Reader(Stub())).retrieved(io.BytesIO(document).read)


def props_of(chance: random.Random, count: int) -> dict[str, Any]:
    return {path: value(KINDS[path], chance) for path in chance.sample(sorted(KINDS), count)}


def assert_same(document: bytes, reader: Reader) -> None:
    ours = read(document, reader)
    theirs = by_pyvmomi(document, reader._stub)
    assert difference(ours, theirs) == ""


def changed(chance: random.Random, found: Any) -> Any:
    """The same value with some of its scalars replaced: what the next host has."""
    if isinstance(found, Vm.DataObject):
        made = found.__class__.__new__(found.__class__)
        made.__dict__.update({name: changed(chance, each) for name, each in found.__dict__.items()})
        return made
    if isinstance(found, list):
        return type(found)(changed(chance, each) for each in found)
    if type(found) in (str, int, bool, Vm.long, Vm.byte) and chance.random() < 0.3:
        return value(type(found), chance)
    return found


# --- equality -------------------------------------------------------------------------------------------------


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_random_hosts_are_read_as_pyvmomi_reads_them(seed: int) -> None:
    """Hosts that are alike in part: known pieces, known shapes and new ones, in two answers of one reader."""
    chance = random.Random(seed)
    reader = Reader(Stub(), chunk=chance.choice((100, 5000, 1 << 20)))
    props = props_of(chance, 6)
    for page in ("more", ""):
        contents = []
        for number in range(3):
            contents.append(content_xml(f"host-{page}{number}", props))
            props = {path: changed(chance, each) for path, each in props.items()}
        assert_same(answer(*contents, contents[0], token=page), reader)


def test_what_was_read_is_not_parsed_again_and_a_changed_byte_is(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, reader = random.Random(1), Reader(Stub())
    props = props_of(chance, 20)
    document = answer(content_xml("host-1", props), content_xml("host-2", props))
    first = read(document, reader)
    with monkeypatch.context() as patched:
        patched.setattr(Pieces, "_read", lambda *_: pytest.fail("parsed again"))
        again = read(document, reader)
    assert [one is other for one, other in zip(first.objects, again.objects, strict=True)] == [True, True]
    name = answer(content_xml("host-1", props | {"name": "new"}), content_xml("host-2", props))
    assert_same(name, reader)


def test_hosts_that_are_alike_share_what_is_the_same_and_nothing_else() -> None:
    reader = Reader(Stub())
    nics = [[vim.host.PhysicalNic(key=f"nic{n}", device=f"vmnic{n}", pci="0", mac=f"00:00:00:00:{host:02}:{n:02}",
                                  validLinkSpecification=[vim.host.PhysicalNic.LinkSpeedDuplex(speedMb=1, duplex=True)],
                                  spec=vim.host.PhysicalNic.Specification(), wakeOnLanSupported=False)
             for n in range(3)] for host in range(2)]
    services = [vim.host.Service(key=f"s{n}", label="l" * 100, required=False, uninstallable=False, running=False,
                                 ruleset=[], policy="on") for n in range(4)]
    array = Vm.GetVmodlType("vim.host.Service[]")
    found = read(answer(*(content_xml(f"host-{n}", {
        "config.network.pnic": Vm.GetVmodlType("vim.host.PhysicalNic[]")(nics[n]),
        "config.service.service": array([*services[:3], services[3] if n else vim.host.Service(
            key="s3", label="other", required=False, uninstallable=False, running=True, ruleset=[], policy="on")]),
    }) for n in range(2))), reader)
    one, other = ({p.name: p.val for p in each.propSet} for each in found.objects)
    assert [n.mac for n in one["config.network.pnic"]] == [n.mac for n in nics[0]]
    assert [n.mac for n in other["config.network.pnic"]] == [n.mac for n in nics[1]]
    assert one["config.network.pnic"][0].spec is other["config.network.pnic"][0].spec
    shared = [a is b for a, b in zip(one["config.service.service"], other["config.service.service"], strict=True)]
    assert shared == [True, True, True, False]


def test_nothing_selected_and_faults() -> None:
    nothing = b"<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Header><a/></e:Header><e:Body>" \
              b"<RetrievePropertiesExResponse xmlns='urn:vim25'></RetrievePropertiesExResponse></e:Body></e:Envelope>"
    assert read(nothing) is None
    fault = (HEAD.split("<Retrieve")[0] + '<soapenv:Fault><faultcode>x</faultcode><faultstring>The session.'
             '</faultstring><detail><NotAuthenticatedFault xmlns="urn:vim25" xsi:type="NotAuthenticated">'
             '<object type="Folder">group-d1</object><privilegeId>System.View</privilegeId></NotAuthenticatedFault>'
             '</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>').encode()
    found: Any = read(fault)
    assert type(found)._wsdlName == "NotAuthenticated"
    assert (found.msg, found.privilegeId) == ("The session.", "System.View")


def test_what_could_not_be_read_is_listed_with_its_fault() -> None:
    reader = Reader(Stub())
    lost = vmodl.fault.HostNotConnected(msg="gone")
    document = answer(content_xml("host-1", {"name": "a"}, {"config.product": lost, "config.service": lost}),
                      content_xml("host-2", {"name": "b"}))
    assert_same(document, reader)
    found = read(document, reader).objects
    assert [(m.path, type(m.fault)) for m in found[0].missingSet] == [
        ("config.product", vmodl.fault.HostNotConnected), ("config.service", vmodl.fault.HostNotConnected)]
    assert found[1].missingSet == []


@pytest.mark.parametrize("change", [
    ("<objects>", "\n  <objects>\n "), ("<propSet>", "\n   <propSet>"), ("<name>", "<!-- c --><name>"),
    ("<val", "<?pi?><val"), ("</propSet>", "<!-- </objects> --></propSet>"), ("</objects>", "</objects\n>"),
    ("<objects>", '<objects xsi:type="ObjectContent">'), (">gone<", "><![CDATA[go</objects>ne]]><"),
    ("</propSet><propSet>", "</propSet> <propSet>"), ('xmlns:xsd="', 'xmlns:XMLSchema="'), ("<objects>", "<objects >"),
    ('<val xsi:type="xsd:string">', '<val xmlns:q="http://www.w3.org/2001/XMLSchema" xsi:type="q:string">'),
    ('<propSet><name>name', '<propSet xmlns:xsd="urn:other"><name>name'), ("<propSet>", '<propSet id="1">'),
])
def test_unusual_spellings_mean_what_they_mean_to_pyvmomi(change: tuple[str, str]) -> None:
    hosts = [content_xml(f"host-{n}", {"name": f"esx{n}", "config.product": vim.AboutInfo(name="gone", build=str(n))})
             for n in range(3)]
    hosts[1] = hosts[1].replace(*change)
    document = answer(*hosts)
    if change[0].startswith("xmlns:xsd"):
        document = document.decode().replace(*change).replace("xsd:", "XMLSchema:").encode()
    assert change[1].encode() in document
    assert_same(document, Reader(Stub()))
    warm = Reader(Stub())
    read(answer(*(content_xml(f"host-{n}", {"name": f"esx{n}"}) for n in range(3))), warm)
    assert_same(document, warm)


# --- what is no answer ----------------------------------------------------------------------------------------


def sample(chance: random.Random) -> bytes:
    return answer(*(content_xml(f"host-{n}", props_of(chance, 3)) for n in range(2)))


@given(seeds, st.floats(0, 1, exclude_max=True))
@settings(max_examples=100, deadline=None)
def test_an_answer_that_is_cut_off_is_refused(seed: int, share: float) -> None:
    document = sample(random.Random(seed))
    reader = Reader(Stub())
    read(document, reader)
    cut = document[:int(len(document) * share)]
    for each in (reader, Reader(Stub())):
        with pytest.raises(BadAnswer):
            read(cut, each)


@given(seeds, st.integers(0, 10**9), st.binary(min_size=0, max_size=3), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_a_damaged_answer_is_refused_or_read_as_pyvmomi_reads_it(seed: int, at: int, put: bytes, gone: int) -> None:
    """Also by a reader that knows the undamaged one."""
    document = sample(random.Random(seed % 20))
    reader = Reader(Stub())
    read(document, reader)
    at %= len(document)
    damaged = document[:at] + put + document[at + gone:]
    try:
        theirs = by_pyvmomi(damaged, reader._stub)
    except Exception as problem:
        if not str(problem).endswith("no attribute ''"):  # an empty enumeration: ours reads it, as vcsim leaves some so
            with pytest.raises(BadAnswer):
                read(damaged, reader)
        return
    try:
        ours = read(damaged, reader)
    except BadAnswer:
        assert theirs is None  # pyVmomi takes any XML for an empty answer
    else:
        assert difference(ours, theirs) == ""


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(("document", "why"), [
    (HEAD.replace("?>", f"?>{BOMB}", 1).encode() + b"&b;" + TAIL.encode(), "document type"),
    (HEAD.replace("?>", f"?>{BOMB}", 1).encode() + content_xml("host-1", {"name": "a"}).encode() + TAIL.encode(),
     "document type"),
    ((HEAD + TAIL).replace("UTF-8", "UTF-16").encode("utf-16"), "UTF-16"),
    ((HEAD + TAIL).encode("utf-16-le"), "UTF-16"),
    ((HEAD + content_xml("host-1", {"name": "a"}) + TAIL).replace("UTF-8", "ISO-8859-1").encode(), "ISO-8859-1"),
    (b"", "not well-formed"), (b"404 page not found", "not well-formed"),
    (b"<html><body>Service Unavailable</body></html>", "no SOAP answer"),
    (HEAD.encode() + content_xml("host-1", {"name": "a"}).encode() + b"</returnval>", "not well-formed"),
    (answer(content_xml("host-1", {"name": "a"})) + b"<more/>", "not well-formed"),
    (answer(content_xml("host-1", {"name": "a"}).replace("xsd:string", "NoSuchType")), "type tables"),
    (answer(content_xml("host-1", {"config.lockdownMode": "x"}).replace("xsd:string", "HostPowerState")),
     "type tables"),
    (answer("<objects><obj>host-1</obj></objects>"), "type tables"),
    (answer("<objects><objects></objects></objects>"), "not well-formed"),
])
def test_what_is_no_answer_is_named(document: bytes, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        read(document)


def test_too_much_in_one_piece_is_refused() -> None:
    document = answer(content_xml("host-1", {"name": "x" * 300_000}))
    with pytest.raises(BadAnswer, match="larger than"):
        read(document, Reader(Stub(), largest=100_000, chunk=10_000))
    endless = iter(lambda: b"<a>" * 10_000, None)
    with pytest.raises(BadAnswer, match="larger than"):
        Reader(Stub(), largest=100_000).retrieved(lambda _count: next(endless))


def test_a_value_that_contains_itself_deeply_is_no_crash() -> None:
    deep = "<a>" * 100_000 + "</a>" * 100_000
    with pytest.raises(BadAnswer):
        read(answer(f'<objects><obj type="HostSystem">h</obj><propSet><name>x</name>{deep}</propSet></objects>'))


def test_what_is_known_is_bounded() -> None:
    from providers.vsphere.bulk.known import Known

    known = Known(limit=10_000)
    for n in range(1000):
        known.put(b"%d" % n, n, 100)
    assert len(known._young) + len(known._old) < 150
    assert known.get(b"999") == 999
    assert known.get(b"1") is None


def test_another_api_version_shows_types_as_that_version_has_them() -> None:
    """The stub speaks an old version until it knows the server: what was read then is read again."""
    stub = Stub()
    stub.version = "vim.version.version9"
    reader = Reader(stub)
    document = answer(content_xml("host-1", {"runtime": vim.host.RuntimeInfo(
        connectionState="connected", powerState="poweredOn", inMaintenanceMode=False)}))
    assert_same(document, reader)
    stub.version = VERSION
    assert_same(document, reader)
