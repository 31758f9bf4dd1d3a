"""What is in a file: a batch of any schema, or another message that travels beside batches. Pure.

Told by its shape alone, before anything in it is believed: a sealed batch is a list of three, a
signed receipt a list of two; a batch, a part and an erase request are maps with their own keys.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from telemetry.codec.anybatch import ALL_SCHEMAS
from telemetry.codec.batch import VERSION, BatchLimits, batch_id, load_fields, sixteen
from telemetry.codec.cbor import load
from telemetry.codec.columns import parse_block
from telemetry.codec.erase import decode_erase, decode_erasure, erase_id
from telemetry.codec.errors import CodecError
from telemetry.codec.part import decode_part
from telemetry.codec.receipt import decode_receipt, unpack_signed
from telemetry.codec.workshop import SCHEMA_ID as REPORT_SCHEMA
from telemetry.ingest.inspect import inspect_batch, sentences
from telemetry.seal import SealError, key_id_of, largest_sealed

MAX_COLUMNS: Final = 256  # as in a segment; no schema has so many
_MAX_TEXT: Final = 80
_EXPECTED: Final = (
    "expected a batch, sealed or not, a part of one, an erase request or a signed receipt"
)
_Document = dict[str, Any]


def what_is(data: bytes, *, limits: BatchLimits) -> _Document:
    """Return what ``data`` says as a JSON document; raise CodecError if it is none of ours.

    Every document has kind, version and bytes. Batches are as ``inspect_batch`` tells them; one
    whose schema is not registered is ``foreign``: its container and counts, and of its columns how
    many and how large, because without the schema nobody knows what the numbers mean. A ``part``
    names the sealed batch it is of, an ``erase`` the pseudonym and batches (never the token), a
    ``receipt`` or ``erasure`` what was answered; their signature is shown, not checked.
    """
    value = _loaded(data, limits)
    shape = frozenset(value) if isinstance(value, dict) else None
    if isinstance(value, list):
        return _listed(data, len(value), limits)
    if shape not in _KINDS:
        raise CodecError(f"file: {_EXPECTED}, found other CBOR", code="codec.shape")
    return _KINDS[shape](data, limits)


def _loaded(data: bytes, limits: BatchLimits) -> object:
    try:
        return load(data, max_bytes=max_bytes(limits), what="file")
    except CodecError as error:
        found = str(error).removeprefix("file: ")
        raise CodecError(f"file: {_EXPECTED}; found: {found}", code=error.code) from error


def max_bytes(limits: BatchLimits) -> int:
    """Return how large a file may be: a sealed batch is larger than the batch in it."""
    return largest_sealed(limits.max_bytes)


def in_words(document: Mapping[str, Any]) -> list[str]:
    """Return a document of ``what_is`` in plain words, for a person."""
    words = _WORDS.get(document["kind"])
    return words(document) if words else sentences(document)


def _listed(data: bytes, count: int, limits: BatchLimits) -> _Document:
    if count == 2:  # noqa: PLR2004 (body and signature)
        return _signed(data)
    try:
        key_id_of(data)
    except SealError as error:
        raise CodecError(f"file: {_EXPECTED}; {error}", code="codec.shape") from error
    return inspect_batch(data, limits=limits)


def _batch(data: bytes, limits: BatchLimits) -> _Document:
    fields = load_fields(data, limits)
    schema_id = fields[2]
    is_known = schema_id in (*ALL_SCHEMAS, REPORT_SCHEMA) if isinstance(schema_id, str) else True
    return inspect_batch(data, limits=limits) if is_known else _foreign(data, fields, limits)


def _foreign(data: bytes, fields: Mapping[int, Any], limits: BatchLimits) -> _Document:
    version, purpose, schema_id, counts = fields[0], fields[1], fields[2], fields[5]
    if type(version) is not int or version != VERSION:
        raise CodecError(f"batch: expected version {VERSION}", code="codec.version")
    if not isinstance(purpose, str) or max(len(purpose), len(schema_id)) > _MAX_TEXT:
        raise CodecError("batch: expected purpose and schema as short texts", code="codec.shape")
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        raise CodecError("batch: expected counts as whole numbers", code="codec.shape")
    head = _head("foreign", data) | {"batch_id": batch_id(data).hex()}
    return head | {
        "purpose": purpose,
        "schema_id": schema_id,
        "pseudonym": sixteen(fields[3], "pseudonym").hex(),
        "nonce": sixteen(fields[6], "nonce").hex(),
        "counts": counts,
        **_block(fields[4], limits),
    }


def _block(body: object, limits: BatchLimits) -> _Document:
    """Return rows, columns and size of the column block in a body; none where there is none."""
    for block in body if isinstance(body, list) else [body]:
        if isinstance(block, bytes):
            with suppress(CodecError):
                rows, model, _ = parse_block(
                    block, max_rows=limits.max_rows, max_columns=MAX_COLUMNS, model=None
                )
                return {"rows": rows, "columns": len(model.order), "column_bytes": len(block)}
    return {"rows": None, "columns": None, "column_bytes": None}


def _part(data: bytes, limits: BatchLimits) -> _Document:
    part = decode_part(data, max_bytes=max_bytes(limits))
    return _head("part", data) | {
        "sealed_id": part.sealed_id.hex(),
        "part": part.part,
        "parts": part.parts,
        "chunk_bytes": len(part.chunk),
        "sealed_bytes": part.size_bytes,
    }


def _erase(data: bytes, _limits: BatchLimits) -> _Document:
    request = decode_erase(data)
    return _head("erase", data) | {
        "erase_id": erase_id(data).hex(),
        "pseudonym": request.pseudonym.hex(),
        "batch_ids": [identity.hex() for identity in request.batch_ids],
    }


def _signed(data: bytes) -> _Document:
    body, signature = unpack_signed(data)
    fields = load(body, max_bytes=len(body), what="receipt")
    is_erasure = isinstance(fields, dict) and 5 in fields  # noqa: PLR2004 (the erase id)
    found = _erasure(body) if is_erasure else _receipt(body)
    return _head(found.pop("kind"), data) | found | {"signature": signature.hex()}


def _receipt(body: bytes) -> _Document:
    receipt = decode_receipt(body)
    return {
        "kind": "receipt",
        "batch_id": receipt.batch_id.hex(),
        "part": receipt.part,
        "status": receipt.status.value,
        "code": receipt.code,
    }


def _erasure(body: bytes) -> _Document:
    erasure = decode_erasure(body)
    return {
        "kind": "erasure",
        "erase_id": erasure.erase_id.hex(),
        "batches": erasure.batches,
        "rows": erasure.rows,
        "aside": erasure.aside,
        "left": erasure.left,
    }


def _head(kind: str, data: bytes) -> _Document:
    return {"kind": kind, "bytes": len(data), "version": 1}


_KINDS: Final[Mapping[frozenset[int] | None, Callable[[bytes, BatchLimits], _Document]]] = {
    frozenset(range(7)): _batch,
    frozenset(range(6)): _part,
    frozenset(range(4)): _erase,
}


def _foreign_words(document: Mapping[str, Any]) -> list[str]:
    lines = [
        f"batch {document['batch_id']}",
        f"{document['bytes']} bytes for the purpose {document['purpose']!r}",
        f"schema {document['schema_id']!r} is not one of ours: only the container can be read",
        f"from pseudonym {document['pseudonym']}; random {document['nonce']}",
        f"counts          {', '.join(map(str, document['counts'])) or 'none'}",
    ]
    rows, columns, size = (document[name] for name in ("rows", "columns", "column_bytes"))
    if rows is None:
        return [*lines, "columns         none that can be told without the schema"]
    bits = f", {8 * size / (rows * columns):.2f} bits for each value" if rows * columns else ""
    return [*lines, f"columns         {columns} of {rows} rows in {size} bytes{bits}"]


def _part_words(document: Mapping[str, Any]) -> list[str]:
    return [
        f"part {document['part']} of {document['parts']} of a sealed batch",
        f"{document['bytes']} bytes; it can be opened when all parts are joined",
        f"sealed batch    {document['sealed_id']}",
        f"carries         {document['chunk_bytes']} of its {document['sealed_bytes']} bytes",
    ]


def _erase_words(document: Mapping[str, Any]) -> list[str]:
    ids = document["batch_ids"]
    return [
        f"a request to erase, {document['bytes']} bytes; it has the token that proves who asks",
        f"erase id        {document['erase_id']}",
        f"pseudonym       {document['pseudonym']}",
        *(f"batch           {identity}" for identity in ids),
        *([] if ids else ["batches         all under this pseudonym, now and later"]),
    ]


def _receipt_words(document: Mapping[str, Any]) -> list[str]:
    whole = "the whole batch" if document["part"] == 0 else f"part {document['part']}"
    code = f", {document['code']!r}" if document["code"] else ""
    return [
        f"a receipt for {whole}: {document['status']}{code}",
        f"{'batch' if document['part'] == 0 else 'sealed batch':15} {document['batch_id']}",
        f"signature       {document['signature']} (not checked here)",
    ]


def _erasure_words(document: Mapping[str, Any]) -> list[str]:
    return [
        f"a receipt for an erasure: {document['batches']} batches with {document['rows']} rows",
        f"beside them      {document['aside']}; {document['left']} rows are left",
        f"erase id        {document['erase_id']}",
        f"signature       {document['signature']} (not checked here)",
    ]


_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    "foreign": _foreign_words,
    "part": _part_words,
    "erase": _erase_words,
    "receipt": _receipt_words,
    "erasure": _erasure_words,
}
