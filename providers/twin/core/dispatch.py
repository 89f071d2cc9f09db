"""One call, from whichever door: session, object, fault rules, handler, recording, commit, reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vmodl

from providers.twin.core.base import Handler, ManagedObject, World
from providers.twin.core.context import Context, calling
from providers.twin.core.faults import Verdict
from providers.twin.core.meta import MethodFault, copy_value, declared_faults, methods_of
from providers.twin.core.paths import answer, compile_path, not_simulated, read
from providers.twin.core.recorder import MutatingCall


class UndeclaredFault(AssertionError):
    """A handler raised a fault that the API's metadata does not declare for that method: a bug of the twin."""


class Dispatcher:
    """Carries calls of one door into its world. Stateless; safe to use from many threads."""

    def __init__(self, world: World) -> None:
        self.world = world

    def invoke(self, context: Context, wire: str, moid: str, method: str, arguments: Mapping[str, Any]) -> Any:
        """Call a method. Raises MethodFaults, and what a network would raise where a fault rule says so."""
        world = self.world
        with calling(context):
            with world.lock:
                target = self._target(context, wire, moid, method)
                handler = target.handlers.get(method)
                verdict = world.faults.judge(
                    world.door, f"{target.wire}.{method}", target.entity.name, task=bool(handler and handler.task))
            verdict.before(world, context)
            with world.lock:
                result = self._invoke(context, target, handler, method, arguments, verdict)
            verdict.after()
            return result

    def fetch(self, context: Context, wire: str, moid: str, name: str) -> Any:
        """Read one property by name (the `Fetch` accessor)."""
        world = self.world
        with calling(context):
            with world.lock:
                target = self._target(context, wire, moid, "Fetch")
                verdict = world.faults.judge(world.door, f"{target.wire}.Fetch", target.entity.name)
            verdict.before(world, context)
            with world.lock:
                compiled = compile_path(type(target), name)
                world.sessions.require(context, target, compiled.privilege)
                value = read(target, name)
            verdict.after()
            if value is None and issubclass(compiled.kind, list):
                return compiled.kind()
            return value

    def _target(self, context: Context, wire: str, moid: str, method: str) -> ManagedObject:
        try:
            target = self.world.lookup(wire, moid)
        except vmodl.fault.ManagedObjectNotFound:
            self.world.sessions.require(context, None, "System.View")
            raise
        if method != "Fetch" and method not in methods_of(target.wire):
            raise vmodl.fault.MethodNotFound(
                receiver=target.ref(), method=method, msg=f"{target.wire} has no method {method}")
        return target

    def _invoke(self, context: Context, target: ManagedObject, handler: Handler | None, method: str,
                arguments: Mapping[str, Any], verdict: Verdict) -> Any:
        info = methods_of(target.wire)[method]
        wanted = info.privId or (handler.privilege if handler else "") or "System.View"
        self.world.sessions.require(context, target, wanted)
        if handler is None:
            raise not_simulated(target, method)
        given = {parameter.name: _argument(arguments.get(parameter.name), parameter) for parameter in info.params}
        if handler.task:
            return self.world.tasks.run(target, info, handler, verdict,
                                        lambda: self.perform(target, handler, info, given, verdict)).ref()
        verdict.fail_instead()
        self._stop_host(target, verdict)
        result = self.perform(target, handler, info, given, verdict)
        if result is None and issubclass(info.result, list):
            return info.result()
        return answer(result, info.result)

    def _stop_host(self, target: ManagedObject, verdict: Verdict) -> None:
        if verdict.stops_host:
            self.world.host_stops(target.host_name or target.entity.name)
            raise vmodl.fault.HostCommunication(
                msg=f"Unable to communicate with the remote host {target.entity.name}, since it is disconnected.")

    def perform(self, target: ManagedObject, handler: Handler, info: Any, given: dict[str, Any],
                verdict: Verdict) -> Any:
        """The effect itself, under the lock: handler, record, commit. Raises only declared faults."""
        name, host = target.entity.name, target.host_name  # before: the call may delete or rename the target
        if handler.task:
            self._stop_host(target, verdict)
        try:
            result = getattr(target, handler.function)(**given)
        except Exception as problem:
            check_declared(problem, target.wire, info.wsdlName)
            raise
        if handler.mutates:
            self.world.calls.append(MutatingCall(f"{target.wire}.{info.wsdlName}", name, host))
            self.world.commit()
        verdict.fail_afterwards()
        return result


def _argument(value: Any, parameter: Any) -> Any:
    """A copy of an argument in its declared type; a list that was not given is an empty one."""
    if issubclass(parameter.type, list):
        return parameter.type(copy_value(each) for each in value or ())
    return copy_value(value)


def check_declared(problem: Exception, wire: str, method: str) -> None:
    """Raises UndeclaredFault where a fault is not one that the metadata declares for the method; sets its message."""
    if not isinstance(problem, MethodFault):
        return
    if not isinstance(problem, declared_faults(wire, method)):
        raise UndeclaredFault(
            f"{wire}.{method} raised {type(problem).__name__}, which the vSphere API does not declare for it"
        ) from problem
    if not problem.msg:
        problem.msg = type(problem)._wsdlName
