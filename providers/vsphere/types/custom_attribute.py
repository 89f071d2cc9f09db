"""Custom attributes of vCenter: what they are, and the values that objects have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Address, Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, reference, string
from providers.vsphere.tools import Tools, after

TYPES = {"host": "HostSystem", "cluster": "ClusterComputeResource", "datacenter": "Datacenter", "folder": "Folder",
         "vm": "VirtualMachine"}
ALL = "all"
_NAMES = {wire: name for name, wire in TYPES.items()}
_DEFINE, _SET = ("Global.ManageCustomFields",), ("Global.SetCustomField",)


def _fields(tools: Tools) -> list[Any]:
    return list(tools.read(tools.service("customFieldsManager"), "field").get("field") or ())


def _kind(field: Any) -> str:
    """What a definition is for."""
    wire = getattr(field.managedObjectType, "_wsdlName", "")
    return _NAMES.get(wire, wire) or ALL


# --- definitions --------------------------------------------------------------------------------------------


def look(tools: Tools, wanted: Mapping[Address, Sequence[Attrs]]) -> dict[Address, Attrs]:
    live = {(each.name, _kind(each)): each for each in _fields(tools)}
    found: dict[Address, Attrs] = {}
    for address, known in wanted.items():
        names = [str(said.get("name") or address.name) for said in known or ({},)]
        kinds = [str(said.get("for") or ALL) for said in known or ({},)]
        ways = [*zip(names, kinds, strict=True), *((name, kind) for name in names for kind in kinds)]
        hit = next((live[way] for way in ways if way in live), None)
        if hit is not None:
            found[address] = {"name": hit.name, "for": _kind(hit), "id": str(hit.key)}
    return found


def _key(tools: Tools, call: Call) -> int:
    """The attribute as it is before the step; a renaming one is what `for` it was declared."""
    was: Any = call.before or {} if call.after is None else {**call.declared, **(call.before or {})}
    name, kind = str(was.get("name") or call.address.name), str(was.get("for") or ALL)
    found = next((each for each in _fields(tools) if (each.name, _kind(each)) == (name, kind)), None)
    if found is None:
        raise StepFailed("vCenter has no such custom attribute", name, "plan again: something removed it since")
    return int(found.key)


def add(tools: Tools, call: Call) -> Attrs:
    from pyVmomi import vim

    wanted = after(call)
    wire = TYPES.get(str(wanted.get("for") or ALL))
    kind = getattr(vim, wire) if wire else None
    made = tools.service("customFieldsManager").AddCustomFieldDef(
        name=str(wanted.get("name") or call.address.name), moType=kind, fieldDefPolicy=None, fieldPolicy=None)
    return {"id": str(made.key)}


def rename(tools: Tools, call: Call) -> None:
    tools.service("customFieldsManager").RenameCustomFieldDef(key=_key(tools, call), name=str(after(call)["name"]))


def remove(tools: Tools, call: Call) -> None:
    tools.service("customFieldsManager").RemoveCustomFieldDef(key=_key(tools, call))


CUSTOM_ATTRIBUTE = ResourceType(
    name="custom_attribute",
    doc="A custom attribute that objects of vCenter can have a value of.",
    order=0,
    label_doc="the attribute's label; its name where `name` is unset",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "for": string("Which objects can have it.", enum=(ALL, *TYPES), default=ALL, always=True, replace=True),
    },
    look=look,
    operations=(
        Operation("custom_attribute.add", "CustomFieldsManager.AddCustomFieldDef", "create", "Add the attribute.", add,
                  ("name", "for"), inverse="custom_attribute.remove", privileges=_DEFINE),
        Operation("custom_attribute.rename", "CustomFieldsManager.RenameCustomFieldDef", "update",
                  "Rename the attribute.", rename, ("name",), inverse="custom_attribute.rename", privileges=_DEFINE),
        Operation("custom_attribute.remove", "CustomFieldsManager.RemoveCustomFieldDef", "delete",
                  "Remove the attribute.", remove, inverse="custom_attribute.add", privileges=_DEFINE,
                  loses="the values that objects had, those that nobody declared"),
    ),
)


# --- values -------------------------------------------------------------------------------------------------


def look_values(tools: Tools, wanted: Mapping[Address, Sequence[Attrs]]) -> dict[Address, Attrs]:
    """Values of these objects, with one query a kind of object. An empty value is none."""
    definitions = _fields(tools)
    places: dict[Address, tuple[Attrs, Any, int]] = {}
    for address, known in wanted.items():
        for said in known:
            entity = tools.find(Address.parse(str(said["entity"])), None) if said.get("entity") else None
            key = _number(tools, definitions, str(said.get("attribute")), type(entity)._wsdlName) if entity else None
            if entity is not None and key is not None:
                places[address] = (said, entity, key)
                break
    by_type: dict[type, dict[str, Any]] = {}
    for _, entity, _ in places.values():
        by_type.setdefault(type(entity), {})[str(entity._moId)] = entity
    values = {str(obj._moId): {each.key: str(each.value) for each in props.get("value") or ()}
              for same in by_type.values() for obj, props in tools.read_all(same.values(), "value")}
    return {address: {"entity": said["entity"], "attribute": said["attribute"], "value": value}
            for address, (said, entity, key) in places.items() if (value := values[str(entity._moId)].get(key))}


def _number(tools: Tools, definitions: Iterable[Any], text: str, wire: str) -> int | None:
    """Key of an attribute, by reference or name; one that objects of that type can have."""
    if text.startswith("custom_attribute."):
        found = tools.looked(Address.parse(text))
        return int(str(found["id"])) if found is not None else None
    return next((int(each.key) for each in definitions
                 if each.name == text and _kind(each) in (ALL, _NAMES.get(wire, wire))), None)


def _write(tools: Tools, call: Call, value: str) -> None:
    said: Any = call.after if call.before is None else call.before if call.after is None else call.declared
    entity = tools.entity(said["entity"], call)
    key = _number(tools, _fields(tools), str(said["attribute"]), type(entity)._wsdlName)
    if key is None:
        raise StepFailed("vCenter has no such custom attribute for this object", str(said["attribute"]),
                         "declare it as `custom_attribute`, for objects of that kind")
    tools.service("customFieldsManager").SetField(entity=entity, key=key, value=value)


def set_value(tools: Tools, call: Call) -> None:
    _write(tools, call, str(after(call)["value"]))


def clear(tools: Tools, call: Call) -> None:
    _write(tools, call, "")


def validate_value(attributes: Attrs) -> Iterable[str]:
    if attributes.get("value") == "":
        yield "an empty value is no value: remove this declaration instead"


CUSTOM_VALUE = ResourceType(
    name="custom_value",
    doc="The value that an object of vCenter has of a custom attribute.",
    order=0,
    label_doc="any label",
    fields={
        "entity": reference("The object.", "host", "cluster", "datacenter", "folder", required=True, replace=True),
        "attribute": Field("string", "The attribute: a reference to a declared one, or the name of one that vCenter "
                           "has.", required=True, replace=True, to=("custom_attribute",)),
        "value": string("Its value.", required=True),
    },
    look=look_values,
    validate=validate_value,
    operations=(
        Operation("custom_value.set", "CustomFieldsManager.SetField", "create", "Set the value.", set_value,
                  ("entity", "attribute", "value"), inverse="custom_value.clear", privileges=_SET),
        Operation("custom_value.update", "CustomFieldsManager.SetField", "update", "Set another value.", set_value,
                  ("value",), inverse="custom_value.update", privileges=_SET),
        Operation("custom_value.clear", "CustomFieldsManager.SetField", "delete", "Take the value away.", clear,
                  inverse="custom_value.set", privileges=_SET),
    ),
)
