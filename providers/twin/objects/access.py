"""HostAccessManager, HostLocalAccountManager, UserDirectory, HostAuthenticationManager with its stores, HostSnmpSystem
and HostCertificateManager of a host."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.core.views import own_session
from providers.twin.machines import account, tls_identity
from providers.twin.model import Hypervisor
from providers.twin.objects.host import HostManager
from providers.twin.objects.network_system import invalid
from providers.twin.parts.access import Snmp, TrapTarget
from providers.twin.views import access as views

DISABLED, STRICT = "lockdownDisabled", "lockdownStrict"
_MOST_SKEW = 300.0  # seconds by which Kerberos lets a clock be off
_LIMITS = {"maxReadOnlyCommunities": 10, "maxTrapDestinations": 3, "maxCommunityLength": 64, "maxBufferSize": 1500}


def no_user(name: str) -> Exception:
    made: Exception = vim.fault.UserNotFound(principal=name, unresolved=False, msg=f"There is no user {name}.")
    return made


def local_users(hypervisor: Hypervisor) -> dict[str, str]:
    """Name → description of the accounts that a host has."""
    own = {"root": "Administrator", "dcui": "DCUI User"} | (
        {"vpxuser": "VMware VirtualCenter administration account"} if hypervisor.manager else {})
    return own | hypervisor.config.access.users


class AccountManager(HostManager):
    """`vim.host.LocalAccountManager`."""

    wire = "HostLocalAccountManager"
    field, prefix, door_id = "accountManager", "localAccountManager", "ha-localacctmgr"

    @method("CreateUser", mutates=True)
    def create_user(self, user: Any) -> None:
        box, running = self.host.open()
        if not user.id or len(user.id) > 16 or not user.id.replace("-", "_").isidentifier():
            raise invalid("user.id", f"{user.id!r} is no user name (letters, digits, _ and -; at most 16).")
        if user.id in local_users(running):
            raise vim.fault.AlreadyExists(name=user.id, msg=f"The host already has a user {user.id}.")
        self._strong(user.password or "")
        with self.editing() as config:
            config.access.users[user.id] = user.description or ""
        running.accounts[user.id] = account(box, user.id, user.password or "")

    @method("UpdateUser", mutates=True)
    def update_user(self, user: Any) -> None:
        box, running = self.host.open()
        if user.id not in local_users(running):
            raise no_user(user.id)
        if user.password is not None:
            self._strong(user.password)
        if user.description is not None:
            if user.id not in running.config.access.users:
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate another description of {user.id}")
            with self.editing() as config:
                config.access.users[user.id] = user.description
        if user.password is not None:
            running.accounts[user.id] = account(box, user.id, user.password)
        self.house.inventory.mark(box)

    @method("RemoveUser", mutates=True)
    def remove_user(self, userName: str) -> None:
        _, running = self.host.open()
        if userName not in running.config.access.users:
            if userName in local_users(running):
                raise vmodl.fault.SecurityError(msg=f"{userName} belongs to the system and cannot be removed.")
            raise no_user(userName)
        with self.editing() as config:
            del config.access.users[userName]
            config.access.modes.pop(userName, None)
        running.accounts.pop(userName, None)

    @staticmethod
    def _strong(password: str) -> None:
        """ESXi's default rule (Security.PasswordQualityControl): 7 characters of 3 classes."""
        classes = (str.islower, str.isupper, str.isdigit, lambda each: not each.isalnum())
        if len(password) < 7 or sum(any(map(kind, password)) for kind in classes) < 3:
            raise vmodl.fault.SystemError(
                reason="weak password",
                msg="Weak password: not enough different characters or classes. ESXi wants at least 7 characters of 3 "
                    "of the classes lower case, upper case, digits and others.",
            )


class LocalUsers(HostManager):
    """`vim.UserDirectory` of a host."""

    wire = "UserDirectory"
    field, prefix, door_id = "userDirectory", "hostUserDirectory", "ha-user-directory"

    @prop("domainList")
    def domains(self) -> list[str]:
        domain = self.config.access.domain
        return [domain.upper()] if domain else []

    @method("RetrieveUserGroups")
    def retrieve(self, searchStr: str, exactMatch: bool, findUsers: bool, findGroups: bool, domain: str | None = None,
                 belongsToGroup: str | None = None, belongsToUser: str | None = None) -> Any:
        _, running = self.host.open()
        if domain or belongsToGroup or belongsToUser:
            raise vmodl.fault.NotSupported(msg="The twin searches local users only, not domains or groups")
        if not findUsers:
            return []
        wanted = searchStr.lower()
        return [data("UserSearchResult", principal=name, fullName=text, group=False)
                for name, text in sorted(local_users(running).items())
                if (name.lower() == wanted if exactMatch else wanted in name.lower())]


class HostAccess(HostManager):
    """`vim.host.HostAccessManager`."""

    wire = "HostAccessManager"
    field, prefix, door_id = "hostAccessManager", "hostAccessManager", "ha-host-access-manager"

    @prop("lockdownMode")
    def lockdown_mode(self) -> str:
        return self.config.access.lockdown

    @method("RetrieveHostAccessControlEntries")
    def entries(self) -> Any:
        _, running = self.host.open()
        return views.access_entries(running)

    @method("QuerySystemUsers")
    def system_users(self) -> list[str]:
        self.host.open()
        return list(views.SYSTEM_USERS)

    @method("QueryLockdownExceptions")
    def exceptions(self) -> list[str]:
        self.host.open()
        return list(self.config.access.exceptions)

    @method("ChangeAccessMode", mutates=True)
    def change_access_mode(self, principal: str, isGroup: bool, accessMode: str) -> None:
        _, running = self.host.open()
        if accessMode == "accessOther":
            raise invalid("accessMode", "accessOther cannot be set.")
        self._known(running, principal, group=isGroup)
        access = running.config.access
        if access.lockdown != DISABLED and principal not in access.exceptions:
            raise vmodl.fault.SecurityError(msg=f"{self.host.name} is in lockdown mode: {principal} is no exception.")
        if principal in views.SYSTEM_USERS:
            raise vmodl.fault.SecurityError(msg=f"{principal} is a system user.")
        with self.editing() as config:
            usual = views.ADMIN if principal == "root" else views.NONE
            if accessMode == usual:
                config.access.modes.pop(principal, None)
            else:
                config.access.modes[principal] = str(accessMode)
            admins = {name for name, mode in views.modes(running).items() if mode == views.ADMIN}
            left = (admins - {principal}) | ({principal} if accessMode == views.ADMIN else set())
            if not left - set(views.SYSTEM_USERS):
                raise vim.fault.AuthMinimumAdminPermission(msg="Nobody but the system's users could log in any more.")

    def _known(self, running: Hypervisor, principal: str, *, group: bool) -> None:
        domain = running.config.access.domain
        joined = bool(domain) and principal.partition("\\")[0].lower() in (domain.lower(), domain.partition(".")[0])
        if group or not (joined or principal in local_users(running)):
            if joined:
                raise vmodl.fault.NotSupported(msg="The twin does not simulate groups of a domain")
            raise no_user(principal)

    @method("UpdateLockdownExceptions", mutates=True)
    def update_exceptions(self, users: Any = None) -> None:
        _, running = self.host.open()
        for each in users or ():
            self._known(running, each, group=False)
        self._caller_stays(list(users or ()))
        with self.editing() as config:
            config.access.exceptions = sorted(users or ())

    @method("ChangeLockdownMode", mutates=True)
    def change_lockdown_mode(self, mode: str) -> None:
        from providers.twin import baseline

        _, running = self.host.open()
        if mode != DISABLED:
            self._caller_stays(running.config.access.exceptions)
        if mode == running.config.access.lockdown:
            return
        console = baseline.service(running, "DCUI")
        with self.editing() as config:
            config.access.lockdown = str(mode)
            baseline.set_service(config, "DCUI", console.policy, mode != STRICT)

    def _caller_stays(self, exceptions: list[str]) -> None:
        """Whoever is logged in at the host itself must not lock itself out; vCenter's own user always may."""
        if self.world.door != "vcenter" and own_session().user not in exceptions:
            raise vim.fault.AuthMinimumAdminPermission(msg="The caller is not among the exceptions of lockdown mode.")


# --- Active Directory ---------------------------------------------------------------------------------------


class Authentication(HostManager):
    """`vim.host.AuthenticationManager`."""

    wire = "HostAuthenticationManager"
    field, prefix, door_id = "authenticationManager", "authenticationManager", "ha-auth-manager"

    @prop("info")
    def info(self) -> Any:
        return views.authentication_info(self.config)

    @prop("supportedStore")
    def stores(self) -> list[ManagedObject]:
        return [self.host.manager(LocalStore), self.host.manager(DirectoryStore)]


class LocalStore(HostManager):
    """`vim.host.LocalAuthentication`."""

    wire = "HostLocalAuthentication"
    prefix, door_id = "localStore", "ha-local-auth"

    @prop("info")
    def info(self) -> Any:
        return data("HostLocalAuthenticationInfo", enabled=True)


class DirectoryStore(HostManager):
    """`vim.host.ActiveDirectoryAuthentication`. Any domain takes any user with a password."""

    wire = "HostActiveDirectoryAuthentication"
    prefix, door_id = "directoryStore", "ha-ad-auth"

    @prop("info")
    def info(self) -> Any:
        return views.store_info(self.config)

    @method("JoinDomain_Task", mutates=True, task=True)
    def join(self, domainName: str, userName: str, password: str) -> None:
        box, running = self.host.open()
        domain = domainName.partition("/")[0]
        if running.config.access.domain:
            raise vim.fault.InvalidState(msg=f"The host is in the domain {running.config.access.domain} already.")
        if not domain or "." not in domain or (not running.config.dns.dhcp and not running.config.dns.servers):
            raise vim.fault.DomainNotFound(domainName=domain, msg=f"The domain {domain!r} cannot be found.")
        if not userName or not password:
            raise vim.fault.InvalidLogin(msg="The domain does not accept this user and password.")
        if abs(box.skew) > _MOST_SKEW:
            raise vim.fault.ClockSkew(msg=f"The host's clock is {abs(box.skew):.0f} s off the domain's.")
        with self.editing() as config:
            config.access.domain = domain.lower()

    @method("LeaveCurrentDomain_Task", mutates=True, task=True)
    def leave(self, force: bool) -> None:
        _, running = self.host.open()
        if not running.config.access.domain:
            raise vim.fault.InvalidState(msg="The host is in no domain.")
        theirs = [name for name in running.config.access.modes if "\\" in name]
        if theirs and not force:
            raise vim.fault.InvalidState(msg=f"Users of the domain have permissions here: {', '.join(theirs)}.")
        with self.editing() as config:
            config.access.domain = ""
            for name in theirs:
                del config.access.modes[name]


# --- SNMP ---------------------------------------------------------------------------------------------------


class SnmpSystem(HostManager):
    """`vim.host.SnmpSystem`."""

    wire = "HostSnmpSystem"
    field, prefix, door_id = "snmpSystem", "snmpSystem", "ha-snmp-agent"

    @prop("configuration")
    def configuration(self) -> Any:
        return views.snmp(self.config.access.snmp)

    @prop("limits")
    def limits(self) -> Any:
        return data("HostSnmpSystemAgentLimits", capability="COMPLETE", **_LIMITS)

    @method("ReconfigureSnmpAgent", mutates=True)
    def reconfigure(self, spec: Any) -> None:
        self.host.open()
        if spec.option:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate HostSnmpConfigSpec.option")
        with self.editing() as config:
            if list(spec.readOnlyCommunities) == [""]:  # as on a real host this resets the whole agent
                config.access.snmp = Snmp()
            found = config.access.snmp
            found.enabled = found.enabled if spec.enabled is None else spec.enabled
            found.port = found.port if spec.port is None else spec.port
            if not 0 < found.port < 65536:
                raise invalid("spec.port", f"{found.port} is no port.")
            communities, targets = list(spec.readOnlyCommunities), list(spec.trapTargets)
            if any(not 0 < len(each) <= _LIMITS["maxCommunityLength"] for each in communities if communities != [""]):
                raise invalid("spec.readOnlyCommunities", "A community has 1 to 64 characters.")
            if len(communities) > _LIMITS["maxReadOnlyCommunities"] or len(targets) > _LIMITS["maxTrapDestinations"]:
                raise vim.fault.InsufficientResourcesFault(msg="The agent takes 10 communities and 3 trap targets.")
            if communities:
                found.communities = [views.masked(each) for each in communities if each]
            if targets:
                found.targets = [TrapTarget(each.hostName, each.port, views.masked(each.community))
                                 for each in targets if each.hostName]
            if found.enabled and not found.communities:
                raise invalid("spec.readOnlyCommunities", "An agent without any community cannot be enabled.")


# --- certificates -------------------------------------------------------------------------------------------


class Certificates(HostManager):
    """`vim.host.CertificateManager`."""

    wire = "HostCertificateManager"
    field, prefix, door_id = "certificateManager", "certificateManager", "ha-certificate-manager"

    @prop("certificateInfo")
    def info(self) -> Any:
        from cryptography import x509

        box, _ = self.host.open()
        found = x509.load_pem_x509_certificate(tls_identity(self.house.name, box).certificate.encode())
        left = found.not_valid_after_utc.timestamp() - self.house.clock.now()
        status = "expired" if left <= 0 else "expiring" if left < 240 * 86400 else "good"
        return data("HostCertificateManagerCertificateInfo", issuer=dn(found.issuer), subject=dn(found.subject),
                    notBefore=found.not_valid_before_utc, notAfter=found.not_valid_after_utc, status=status)

    def renew(self) -> None:
        """vCenter's CA gives the host a new certificate."""
        with self.editing() as config:
            config.access.issued += 1


def dn(name: Any) -> str:
    """A distinguished name as vCenter shows it: the order of the certificate, joined by commas."""
    return ",".join(each.rfc4514_string() for each in name.rdns)

