"""What the house's objects have in common: their world, their document, and the properties of every entity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pyVmomi import vim, vmodl

from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.inventory import Entity
from providers.twin.views import access

if TYPE_CHECKING:
    from providers.twin.house import House


class HouseWorld(World):
    """A door of a house. Objects are made when they are asked for: they are only views of documents."""

    def __init__(self, house: House, door: str) -> None:
        super().__init__(
            door=door,
            clock=house.clock,
            lock=house.lock,
            faults=house.faults,
            calls=house.calls,
            on_commit=house.commit,
            on_host_stops=house.host_stops,
        )
        self.house = house
        self.subject = ""  # the host that the call in progress turned out to change

    def commit(self) -> None:
        """As the base. A call on a cluster that changes a host (AddHost, MoveInto) is recorded with its name."""
        if self.subject:
            self.calls[-1] = replace(self.calls[-1], host=self.subject)
            self.subject = ""
        super().commit()

    def find(self, moid: str) -> ManagedObject | None:
        found = super().find(moid)
        return found if found is not None else self.make(moid)

    def make(self, moid: str) -> ManagedObject | None:
        """The object of that id that is not registered; None where there is none."""
        raise NotImplementedError


class HouseObject(ManagedObject):
    """An object of the house, whichever door it is behind."""

    @property
    def house(self) -> House:
        return cast(HouseWorld, self.world).house

    def changes(self, host: str) -> None:
        """The call in progress, made on another entity, changes this host."""
        cast(HouseWorld, self.world).subject = host

    @prop("value", "availableField", "customValue")
    def custom(self) -> list[Any]:
        return []


def check_name(name: str) -> str:
    """An entity name as vCenter keeps it ("/" and "\\" escaped). Raises vim.fault.InvalidName."""
    if not name or len(name) > 80:
        raise vim.fault.InvalidName(name=name, msg=f"The name '{name}' is not valid: 1 to 80 characters.")
    return name.replace("/", "%2f").replace("\\", "%5c")


class EntityObject(HouseObject):
    """An entity of vCenter's inventory: a view of its document."""

    kind: Any = None  # document class

    @property
    def doc(self) -> Any:
        found = self.house.inventory.get(self.moid, self.kind)
        if found is None:
            raise vmodl.fault.ManagedObjectNotFound(obj=self.ref(), msg=f"{self.wire}:{self.moid} has been deleted")
        return found

    def at(self, identity: str) -> ManagedObject:
        """The object of that id, which must exist."""
        found = self.world.find(identity)
        if found is None:
            raise AssertionError(f"the twin's inventory has no {identity}")
        return found

    def objects(self, documents: Iterable[Entity]) -> list[ManagedObject]:
        return [self.at(each.id) for each in documents]

    @property
    def name(self) -> str:
        return str(self.doc.name)

    @property
    def parent(self) -> ManagedObject | None:
        above = self.doc.parent
        return self.at(above) if above else None

    def children(self) -> Iterable[ManagedObject]:
        return self.objects(self.house.inventory.below(self.moid))

    def siblings(self, name: str) -> None:
        """Raises vim.fault.DuplicateName where another entity beside this one has that name."""
        self.house_child(self.doc.parent, name)

    def new_name(self, name: str) -> str:
        """The name as it is kept; "" where it has that name already. Raises vim.fault.InvalidName, DuplicateName."""
        wanted = check_name(name)
        if wanted == self.doc.name:
            return ""
        self.siblings(wanted)
        return wanted

    def house_child(self, parent: str, name: str) -> None:
        """Raises vim.fault.DuplicateName where the container already has a child of that name."""
        found = self.house.inventory.child(parent, name)
        if found is not None:
            raise vim.fault.DuplicateName(
                name=name, object=self.at(found.id).ref(), msg=f"The name '{name}' already exists."
            )

    @prop("value", "customValue")
    def p_values(self) -> list[Any]:
        """Values of custom attributes."""
        found = self.house.inventory.site.access.values.get(self.moid, {})
        return access.values((int(key), value) for key, value in found.items())

    @prop("availableField")
    def p_fields(self) -> list[Any]:
        from providers.twin.objects.vcenter_access import definition

        return [definition(int(key), each) for key, each in self.house.inventory.site.access.fields.items()
                if each.type in ("", self.wire)]

    @prop("name")
    def p_name(self) -> str:
        return self.name

    @prop("parent")
    def p_parent(self) -> ManagedObject | None:
        return self.parent

    @prop("overallStatus", "configStatus")
    def p_status(self) -> str:
        return "green"

    @prop("configIssue", "permission", "disabledMethod", "declaredAlarmState", "triggeredAlarmState", "tag")
    def p_empty(self) -> list[Any]:
        return []

    @prop("effectiveRole")
    def p_role(self) -> list[int]:
        return [-1]

    @prop("alarmActionsEnabled")
    def p_alarms(self) -> bool:
        return True

    @prop("recentTask")
    def p_tasks(self) -> list[Any]:
        return list(self.world.tasks.recent(self))

    @method("Rename_Task", mutates=True, task=True, privilege="Folder.Rename")
    def rename(self, newName: str) -> None:
        if wanted := self.new_name(newName):
            self.house.inventory.rename(self.doc, wanted)
