"""The managers of a host that the twin plays, at vCenter and at the host's own door."""

from __future__ import annotations

from providers.twin.objects.access import (
    AccountManager,
    Authentication,
    Certificates,
    DirectoryStore,
    HostAccess,
    LocalStore,
    LocalUsers,
    SnmpSystem,
)
from providers.twin.objects.diagnostic_system import DiagnosticSystem
from providers.twin.objects.host import HostManager
from providers.twin.objects.host_autostart import AutoStartManager
from providers.twin.objects.host_services import DateTimeSystem, FirewallSystem, HostOptions, ServiceSystem
from providers.twin.objects.host_settings import KernelModuleSystem, PowerSystem, VsanSystem
from providers.twin.objects.host_storage import DatastoreSystem
from providers.twin.objects.iscsi_manager import IscsiManager
from providers.twin.objects.network_system import NetworkSystem
from providers.twin.objects.nic_manager import NicManager
from providers.twin.objects.storage_system import StorageSystem

MANAGERS: tuple[type[HostManager], ...] = (
    NetworkSystem, NicManager, DateTimeSystem, ServiceSystem, FirewallSystem, HostOptions, DatastoreSystem,
    AccountManager, LocalUsers, HostAccess, Authentication, LocalStore, DirectoryStore, SnmpSystem, Certificates,
    PowerSystem, KernelModuleSystem, AutoStartManager, VsanSystem, StorageSystem, IscsiManager, DiagnosticSystem,
)
