"""`fleet state …`: inspection for audits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli import options
from planner.cli.state_views import history_rows, resource_data, state_data, table
from planner.cli.terminal import Usage, answer_json, diagnostic_data, emit, show_diagnostics
from planner.model import Address, Diagnostic, State

if TYPE_CHECKING:
    from planner.cli.state_edit import StateFiles

app = typer.Typer(add_completion=False, help="Inspect state and its history; the rare repair.")

Addr = Annotated[str, typer.Argument(metavar="ADDR", help="An address, as `list` prints it.", show_default=False)]


def parsed(text: str) -> Address:
    """An address of the command line. Raises Usage (64)."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise Usage(Diagnostic("error", "that is no address", str(error))) from error


def now(store: StateFiles) -> State | None:
    """State with the open run's journal replayed."""
    from planner.cli.state_edit import catalog
    from planner.execute.project import current_state

    return current_state(store, catalog)


@app.command("list")
def list_(path: options.Path, as_json: options.Json = False) -> int:
    """Every object in state."""
    from planner.cli.state_edit import store_of

    name, store = store_of(path)
    state = now(store)
    if as_json:
        answer_json(state_data(name, state))
        return 0
    if state is None or not state.resources:
        emit("State is empty.")
        return 0
    resources = sorted(state.resources.values(), key=lambda r: str(r.address))
    emit(table(("address", "origin", "id"), [(str(r.address), r.origin, r.id) for r in resources]))
    still = "" if state.complete else f", run {state.run} is open"
    emit(f"\n{len(resources)} objects, serial {state.serial}{still}")
    return 0


@app.command()
def show(path: options.Path, address: Addr, as_json: options.Json = False) -> int:
    """One object: its attributes as last applied, and what was computed."""
    from planner.cli.state_edit import absent, store_of
    from planner.cli.state_views import resource_rows

    wanted = parsed(address)
    _, store = store_of(path)
    state = now(store)
    if state is None or wanted not in state.resources:
        raise absent(wanted)
    resource = state.resources[wanted]
    if as_json:
        answer_json(resource_data(resource))
    else:
        emit(table((), resource_rows(resource)))
    return 0


@app.command()
def history(path: options.Path, as_json: options.Json = False) -> int:
    """Every run and every serial: who, when, why, and how it ended."""
    from planner.cli.state_edit import store_of

    name, store = store_of(path)
    rows = history_rows(store.history(), store.runs())
    if as_json:
        answer_json({"format": 1, "kind": "fleet.history", "fleet": name, "history": rows})
        return 0
    if not rows:
        emit("There is no history.")
        return 0
    keys = ("serial", "resources", "run", "started", "by", "outcome", "reason")
    emit(table(keys, [["" if row[k] is None else str(row[k]) for k in keys] for row in rows]))
    for row in rows:
        if row["damaged"]:
            show_diagnostics([Diagnostic("warning", "a journal is damaged", f"run {row['run']}: {row['damaged']}",
                                         remedy="fleet state verify PATH")])
    return 0


@app.command()
def verify(path: options.Path, as_json: options.Json = False) -> int:
    """Check every checksum, chain, plan, serial and lineage. Exit 1 where something is damaged."""
    from planner.cli.state_edit import store_of

    name, store = store_of(path)
    diagnostics = list(store.verify())
    errors = sum(d.severity == "error" for d in diagnostics)
    if as_json:
        answer_json({"format": 1, "kind": "fleet.verify", "fleet": name, "sound": not errors,
                     "diagnostics": [diagnostic_data(d) for d in diagnostics]})
    else:
        show_diagnostics(diagnostics)
        bad = "1 error." if errors == 1 else f"{errors} errors."
        emit(bad if errors else "State, history and journals are sound.")
    return 1 if errors else 0


@app.command()
def pull(path: options.Path, as_json: options.Json = False) -> int:
    """Print the state document. To edit it: change it, remove its `sum`, and push it."""
    from planner.cli.state_edit import store_of

    name, store = store_of(path)
    emit(store.dump(now(store) or State("", 0, name, "", {})).decode().rstrip("\n"))
    return 0


@app.command()
def push(path: options.Path,
         file: Annotated[str, typer.Argument(metavar="[FILE]", help="A state document; - reads stdin.",
                                             show_default=False)] = "",
         rebuild: Annotated[bool, typer.Option(
             "--rebuild", help="Instead of a file: the state as the last run's journal tells it.")] = False,
         reason: options.Reason = "", as_json: options.Json = False) -> int:
    """Replace the state: by an edited one, by an old one, or rebuilt from the journal where it is damaged."""
    from planner.cli import state_edit

    if bool(file) == rebuild:
        raise Usage(Diagnostic("error", "name a state document, or say --rebuild",
                               remedy="fleet state push PATH FILE, or fleet state push PATH --rebuild"))
    _, store = state_edit.store_of(path, pushes=True)
    state = state_edit.rebuild(store, reason) if rebuild else state_edit.push(store, _document(file), file, reason)
    return _changed(state, f"The state is at serial {state.serial} now, with {len(state.resources)} objects.",
                    as_json=as_json)


def _document(file: str) -> bytes:
    from planner.cli.planning import read_file

    return sys.stdin.buffer.read() if file == "-" else read_file(file)


def _changed(state: State, sentence: str, *, as_json: bool, **more: Any) -> int:
    if as_json:
        answer_json({"kind": "fleet.state.changed", "serial": state.serial, "message": sentence, **more})
    else:
        emit(sentence)
    return 0


@app.command()
def unlock(path: options.Path, as_json: options.Json = False) -> int:
    """Remove the lock of a process that cannot remove it itself (one on a machine that is gone)."""
    from planner.cli.state_edit import store_of

    sentence = store_of(path)[1].unlock()
    if as_json:
        answer_json({"kind": "fleet.state.unlocked", "message": sentence})
    else:
        emit(sentence)
    return 0


@app.command()
def rm(path: options.Path, address: Addr, reason: options.Reason = "", as_json: options.Json = False) -> int:
    """Forget an object and what hangs on it; live stays as it is."""
    from planner.cli import state_edit

    gone, state = state_edit.remove(state_edit.store_of(path)[1], parsed(address), reason)
    return _changed(state, f"Forgot {len(gone)} objects; live is as it was. Serial {state.serial}.", as_json=as_json,
                    removed=[str(a) for a in gone])


@app.command()
def mv(path: options.Path,
       source: Annotated[str, typer.Argument(metavar="FROM", help="Its address in state.", show_default=False)],
       target: Annotated[str, typer.Argument(metavar="TO", help="Its new address.", show_default=False)],
       reason: options.Reason = "", as_json: options.Json = False) -> int:
    """Give an object another address; what hangs on it moves along."""
    from planner.cli import state_edit

    state = state_edit.move(state_edit.store_of(path)[1], parsed(source), parsed(target), reason)
    return _changed(state, f"{source} is {target} now. Serial {state.serial}.", as_json=as_json)


@app.command()
def abandon(path: options.Path,
            run: Annotated[str, typer.Argument(metavar="RUN", help="The open run.", show_default=False)],
            reason: options.Reason = "", as_json: options.Json = False) -> int:
    """Give an unfinished run up: what it did stays on live and in state."""
    from planner.cli import state_edit

    if not reason:
        raise Usage(Diagnostic("error", "--reason is needed", "an abandoned run is never finished or undone",
                               remedy=f"fleet state abandon {path} {run} --reason TEXT"))
    state, warnings = state_edit.abandon(state_edit.store_of(path)[1], run, reason)
    if not as_json:
        show_diagnostics(warnings)
    serial = f" State is at serial {state.serial}." if state else ""
    sentence = f"Run {run} is given up.{serial} What it did stays; `fleet plan` shows what is missing."
    return _changed(state or State("", 0, "", "", {}), sentence, as_json=as_json, run=run,
                    warnings=[diagnostic_data(d) for d in warnings])
