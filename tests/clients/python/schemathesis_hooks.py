"""What a generated request needs to say something of the daemon rather than of the tool."""

import itertools
import os
import uuid

import schemathesis

ADDRESSES = itertools.count(1)

# A part of a content, as tus sends it.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@schemathesis.hook
def before_call(context, case, kwargs):
    # Each request comes from a network of its own: the delays after wrong passwords have tests of
    # their own, and would only have everything else answered with 429.
    place = next(ADDRESSES)
    case.headers["X-Forwarded-For"] = f"2001:db8:{place >> 16:x}:{place & 0xFFFF:x}::1"
    operation = case.operation.definition.raw.get("operationId")
    # The account that asks must outlive the run.
    if operation in ("change_user", "remove_user"):
        if case.path_parameters.get("id") == os.environ["COFFER_USER_ID"]:
            case.path_parameters["id"] = str(uuid.uuid4())
    if case.meta is None or not case.meta.generation.mode.is_positive or not case.query:
        return
    # OpenAPI has no words for these: a cursor is what a list gave, and one of two parameters
    # excludes the other.
    case.query.pop("cursor", None)
    if operation == "list_files":
        if case.query.get("scope") == "all":
            case.query.pop("path", None)
        if "path" in case.query or case.query.get("scope") == "all":
            case.query.pop("id", None)
