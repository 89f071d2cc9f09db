"""Who may do what: accounts, lockdown, Active Directory and SNMP of a host; roles, permissions, licences, custom
attributes of vCenter. Everything is as newborn by default. Of secrets there are digests only.
"""

from __future__ import annotations

import msgspec

from providers.twin.parts import Document


class TrapTarget(Document):
    """Where SNMP traps go. `community` is a digest (`views.access.masked`)."""

    host: str
    port: int
    community: str


class Snmp(Document):
    enabled: bool = False
    port: int = 161
    communities: list[str] = msgspec.field(default_factory=list)  # digests
    targets: list[TrapTarget] = msgspec.field(default_factory=list)


class Access(Document):
    """A host's own. `modes` are HostAccessMode by principal, where they are not a newborn's; lockdown hides them."""

    users: dict[str, str] = msgspec.field(default_factory=dict)  # local accounts beside root's → description
    modes: dict[str, str] = msgspec.field(default_factory=dict)
    lockdown: str = "lockdownDisabled"
    exceptions: list[str] = msgspec.field(default_factory=list)  # sorted
    domain: str = ""  # of Active Directory
    snmp: Snmp = msgspec.field(default_factory=Snmp)
    issued: int = 0  # how often vCenter's CA gave it a certificate; 0: it still has the one that it was born with


class RoleDoc(Document):
    name: str
    privileges: list[str] = msgspec.field(default_factory=list)  # sorted, those of every role left out


class Grant(Document):
    """A permission: `entity` is an id, `role` a role's."""

    entity: str
    principal: str
    group: bool
    role: int
    propagate: bool


class FieldDoc(Document):
    """A custom attribute. `type` is the wire type that it is for; "" all."""

    name: str
    type: str = ""


class SiteAccess(Document):
    """vCenter's own."""

    roles: dict[str, RoleDoc] = msgspec.field(default_factory=dict)  # id as text
    grants: list[Grant] = msgspec.field(default_factory=list)
    licenses: dict[str, str] = msgspec.field(default_factory=dict)  # key as it is shown → digest of the key
    assigned: dict[str, str] = msgspec.field(default_factory=dict)  # entity id → key as it is shown; else an evaluation
    fields: dict[str, FieldDoc] = msgspec.field(default_factory=dict)  # key as text
    values: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)  # entity id → field key → value
    last: int = 100  # the last id given to a role or field
