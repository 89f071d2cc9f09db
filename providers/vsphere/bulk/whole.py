"""Answers, or pieces of them, that pyVmomi reads."""

from __future__ import annotations

import io
from typing import Any
from xml.parsers.expat import ExpatError

from pyVmomi import vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer

from providers.vsphere.bulk.context import BadAnswer, guard, is_answer

RESULT: Any = vmodl.query.PropertyCollector.RetrieveResult


def by_pyvmomi(document: bytes, stub: Any) -> Any:
    """The result (None: nothing was selected) or the fault of a whole answer. Raises BadAnswer."""
    guard(document)
    try:
        found = SoapResponseDeserializer(stub).Deserialize(io.BytesIO(document), RESULT)
    except (ExpatError, TypeError, KeyError, AttributeError, ValueError, IndexError) as problem:
        raise BadAnswer(f"pyVmomi's type tables do not fit it ({type(problem).__name__}: {problem})") from problem
    if found is None and not is_answer(document):
        raise BadAnswer("it is no SOAP answer")  # pyVmomi takes any XML for an empty answer: "there are no hosts"
    return found
