"""Sessions of one door: who is logged in, what they may do, and the SessionManager in front of them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyVmomi import vim

from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.clock import moment
from providers.twin.core.context import Context, current
from providers.twin.core.meta import data

if TYPE_CHECKING:
    from collections.abc import Iterable

ANYBODY = "System.Anonymous"
_EVERY_ROLE = frozenset((ANYBODY, "System.View", "System.Read"))
_IDLE = 1800.0  # seconds; vCenter's default for SOAP sessions


@dataclass(frozen=True, slots=True)
class Role:
    """A set of privilege ids; None means all of them (administrator)."""

    name: str
    privileges: frozenset[str] | None = None

    def grants(self, privilege: str) -> bool:
        return self.privileges is None or privilege in self.privileges or privilege in _EVERY_ROLE

    @classmethod
    def of(cls, name: str, privileges: Iterable[str]) -> Role:
        """A role with these privileges, and the ones that every role has (System.Anonymous, View and Read)."""
        return cls(name, frozenset(privileges) | _EVERY_ROLE)


ADMIN = Role("Admin")
READ_ONLY = Role("ReadOnly", _EVERY_ROLE)


class Accounts:
    """Users, their roles and salted digests of their passwords. The password itself is never kept."""

    def __init__(self) -> None:
        self._digests: dict[str, tuple[str, str]] = {}
        self._roles: dict[str, Role] = {}

    def set(self, user: str, password: str, role: Role = ADMIN) -> None:
        """Add a user, or change password and role."""
        salt = secrets.token_hex(8)
        self._digests[user] = (salt, _digest(salt, password))
        self._roles[user] = role

    def remove(self, user: str) -> None:
        self._digests.pop(user, None)
        self._roles.pop(user, None)

    def check(self, user: str, password: str) -> Role | None:
        """The user's role if the password is right, else None."""
        salt, digest = self._digests.get(user, ("", ""))
        matches = hmac.compare_digest(_digest(salt, password), digest)
        return self._roles[user] if matches and user in self._roles else None

    def role(self, user: str) -> Role | None:
        return self._roles.get(user)

    def dump(self) -> dict[str, list[str]]:
        """Digests by user, for the house's store: [salt, digest]. Roles are not part of it."""
        return {user: list(entry) for user, entry in sorted(self._digests.items())}

    def load(self, digests: dict[str, list[str]], role: Role = ADMIN) -> None:
        """The inverse of `dump`."""
        for user, (salt, digest) in digests.items():
            self._digests[user] = (salt, digest)
            self._roles.setdefault(user, role)


def _digest(salt: str, password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 1000).hex()


@dataclass(slots=True)
class Session:
    """One logged-in client. `objects` are its own managed objects: views, property collectors, filters."""

    key: str
    user: str
    role: Role
    login: datetime
    active: float
    address: str = ""
    agent: str = ""
    public: str = field(default_factory=lambda: str(uuid.uuid4()))
    calls: int = 0
    objects: dict[str, ManagedObject] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)  # state of collectors and open retrievals
    alive: bool = True


class SessionTable:
    """All sessions of a door. `authenticate(user, password)` gives the role, or None; by default `accounts` does."""

    def __init__(self, world: World, *, idle: float = _IDLE) -> None:
        self._world = world
        self._by_key: dict[str, Session] = {}
        self.idle = idle
        self.accounts = Accounts()
        self.authenticate: Callable[[str, str], Role | None] = self.accounts.check

    def open(self, user: str, role: Role, context: Context) -> Session:
        """A new session for this client; its key is the cookie."""
        clock = self._world.clock
        made = Session(secrets.token_hex(20), user, role, moment(clock), clock.now(), context.address, context.agent)
        self._by_key[made.key] = made
        context.session, context.issued = made, made.key
        return made

    def get(self, key: str) -> Session | None:
        """The session of a cookie; None where there is none or it idled out."""
        found = self._by_key.get(key)
        if found is not None and self.idle and self._world.clock.now() - found.active > self.idle:
            self.end(found)
            return None
        return found

    def end(self, session: Session | None) -> None:
        """Log out, or expire. Its views, collectors and filters are gone."""
        if session is not None:
            session.alive = False
            session.objects.clear()
            session.extras.clear()
            self._by_key.pop(session.key, None)
            self._world.touch()

    def end_all(self) -> None:
        """vCenter restarts."""
        for each in list(self._by_key.values()):
            self.end(each)

    def all(self) -> list[Session]:
        return list(self._by_key.values())

    def require(self, context: Context, target: ManagedObject | None, privilege: str) -> None:
        """Raises vim.fault.NotAuthenticated without a session, vim.fault.NoPermission without the privilege."""
        session = context.session
        if session is not None and session.alive:
            session.active = self._world.clock.now()
            session.calls += 1
            if session.role.grants(privilege):
                return
            raise vim.fault.NoPermission(
                object=target.entity.ref() if target else None, privilegeId=privilege,
                msg=f"Permission to perform this operation was denied: {session.user} lacks {privilege}")
        if privilege != ANYBODY:
            raise vim.fault.NotAuthenticated(
                object=target.ref() if target else None, privilegeId=privilege,
                msg="The session is not authenticated.")


def user_session(session: Session) -> Any:
    """A session as the API shows it. Its public key is not the cookie: knowing it does not let anyone in."""
    return data("UserSession", key=session.public, userName=session.user, fullName=session.user,
                loginTime=session.login,
                lastActiveTime=datetime.fromtimestamp(session.active, UTC), locale="en", messageLocale="en",
                extensionSession=False, ipAddress=session.address, userAgent=session.agent, callCount=session.calls)


class SessionManager(ManagedObject):
    """`vim.SessionManager` of a door."""

    wire = "SessionManager"

    def __init__(self, world: World, moid: str = "SessionManager") -> None:
        super().__init__(world, moid)

    @method("Login")
    def login(self, userName: str, password: str, locale: str | None = None) -> Any:
        sessions, context = self.world.sessions, current()
        role = sessions.authenticate(userName, password)
        if role is None:
            raise vim.fault.InvalidLogin(msg="Cannot complete login due to an incorrect user name or password.")
        if locale and not locale.startswith("en"):
            raise vim.fault.InvalidLocale(msg=f"The locale {locale} is not available.")
        sessions.end(context.session)
        return user_session(sessions.open(userName, role, context))

    @method("Logout")
    def logout(self) -> None:
        context = current()
        self.world.sessions.end(context.session)
        context.session = None

    @method("SessionIsActive")
    def session_is_active(self, sessionID: str, userName: str) -> bool:
        return any(each.public == sessionID and each.user == userName for each in self.world.sessions.all())

    @method("TerminateSession")
    def terminate(self, sessionId: Any) -> None:
        known = {each.public: each for each in self.world.sessions.all()}
        for key in sessionId:
            if key not in known:
                raise vim.fault.NotFound(msg=f"There is no session {key}.")
        for key in sessionId:
            self.world.sessions.end(known[key])

    @method("SetLocale")
    def set_locale(self, locale: str) -> None:
        if not locale.startswith("en"):
            raise vim.fault.InvalidLocale(msg=f"The locale {locale} is not available.")

    @prop("currentSession")
    def current_session(self) -> Any:
        session = current().session
        return user_session(session) if session else None

    @prop("sessionList")
    def session_list(self) -> Any:
        return [user_session(each) for each in self.world.sessions.all()]

    @prop("message")
    def message(self) -> str:
        return ""

    @prop("messageLocaleList", "supportedLocaleList")
    def locales(self) -> list[str]:
        return ["en"]

    @prop("defaultLocale")
    def default_locale(self) -> str:
        return "en"
