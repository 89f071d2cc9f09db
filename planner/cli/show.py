"""`fleet show`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli import options
from planner.cli.planning import Style, read_file, show_plan
from planner.cli.terminal import answer_json, emit, emit_text, paint
from planner.model import Diagnostic, FleetError, Plan
from planner.ports import Record

app = typer.Typer(add_completion=False)


@app.command()
def command(file: Annotated[str, typer.Argument(metavar="FILE", help="A saved plan, or a journal (runs/RUN.jsonl).",
                                                show_default=False)],
            as_json: options.Json = False, markdown: options.Markdown = False, html: options.Html = "",
            verbose: options.Verbose = False) -> int:
    """Show a saved plan or a journal, offline."""
    from planner.plan import decode_plan, is_plan

    style = Style(as_json, markdown, html, verbose)
    style.check()
    data = read_file(file)
    if is_plan(data):
        from planner.cli.wiring import installed

        show_plan(decode_plan(data), installed().catalog, style)
    elif is_journal(data):
        _show_journal(Path(file), data, style)
    else:
        raise FleetError(Diagnostic("error", "this is neither a plan nor a journal", file,
                                    remedy="plans come from `fleet plan --out`, journals lie in .fleet/NAME/runs/"))
    return 0


def is_journal(data: bytes) -> bool:
    """Whether these bytes look like a journal: JSON lines that carry a checksum."""
    first = data.lstrip().split(b"\n", 1)[0]
    return first.startswith(b"{") and b'"sum":' in first and b'"kind":' in first


def _show_journal(path: Path, data: bytes, style: Style) -> None:
    from planner.review.journal import document, journal_view, render, render_markdown

    records = _records(path, data)
    view = journal_view(path.stem, records, _plan_beside(path))
    if style.json:
        answer_json(document(view, records))
    elif style.markdown:
        emit(render_markdown(view).rstrip("\n"))
    else:
        emit_text(render(view, paint()))


def _records(path: Path, data: bytes) -> list[Record]:
    """The records, checked by the state back end that wrote them, wherever the file lies now."""
    from tempfile import TemporaryDirectory

    from planner.cli.wiring import store_at

    if path.parent.name == "runs" and path.suffix == ".jsonl":
        return list(store_at(path.parent.parent.absolute(), "", {}).records(path.stem))
    with TemporaryDirectory(prefix="fleet-show-") as folder:
        copy = Path(folder) / "runs" / "run.jsonl"
        copy.parent.mkdir()
        copy.write_bytes(data)
        return list(store_at(Path(folder), "", {}).records("run"))


def _plan_beside(path: Path) -> Plan | None:
    """The plan that the run ran; without it, steps that never started are not known."""
    from planner.plan import decode_plan

    beside = path.with_suffix(".plan")
    try:
        return decode_plan(beside.read_bytes())
    except (OSError, FleetError):
        return None
