import io
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.errors import CustomFieldError, ManifestError, OtaError, UnsafePackageError
from ota.metadata.archive import PackageReader, write_package
from ota.metadata.custom import (
    parse_delegation_custom,
    parse_director_custom,
    parse_image_custom,
)
from ota.metadata.manifest import verify_manifest
from ota.metadata.package import (
    Health,
    PackageFile,
    PackageManifest,
    Run,
    check_path,
    encode_package_manifest,
    parse_package_manifest,
)
from tests.support.publisher import ecu_signer, signed_manifest

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
fields = st.sampled_from(
    [
        *("hardware_ids", "release_counter", "version", "kind", "name", "release", "ecus"),
        *("campaign", "agree_with", "requires", "conflicts", "chunks"),
    ]
)
words = st.text(string.ascii_letters + string.digits + " \"\\'=[]#ä€\x7f-_.", max_size=30)


def quoted(path: str) -> PackageFile:
    return PackageFile(path=path, sha256="0" * 64, mode=0o644, size=0)


PROGRAM = PackageFile(path="run", sha256="0" * 64, mode=0o755, size=0)


def manifest_of(argument: str, path: str) -> PackageManifest:
    files = tuple(sorted((PROGRAM, quoted(path)), key=lambda file: file.path))
    return PackageManifest(
        name="a",
        version="1.0.0",
        kind="app",  # type: ignore[arg-type]
        run=Run(exec=("run", argument)),
        health=Health(exec=("run",)),
        files=files,
    )


@given(plain | st.dictionaries(fields, plain))
def test_custom_fields_of_any_shape_are_read_or_refused_with_our_error(custom: object) -> None:
    for parse in (parse_image_custom, parse_director_custom, parse_delegation_custom):
        try:
            parse(custom)
        except CustomFieldError as error:
            assert error.code == "ota.repository.custom_field"  # noqa: PT017 (either may happen)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_a_package_manifest_of_any_bytes_is_refused_with_our_error(data: bytes) -> None:
    with pytest.raises(UnsafePackageError, match="expected"):
        parse_package_manifest(data)


@given(words.filter(bool), words.filter(bool))
def test_a_package_manifest_goes_there_and_back(argument: str, path: str) -> None:
    try:
        check_path(path)
        made = manifest_of(argument, path)
        data = encode_package_manifest(made)
        assert parse_package_manifest(data) == made
    except UnsafePackageError as error:
        assert "path" in str(error) or "files" in str(error)  # noqa: PT017 (either may happen)


@given(st.text())
def test_a_path_that_is_accepted_stays_inside(path: str) -> None:
    try:
        check_path(path)
    except UnsafePackageError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert "\0" not in path


@given(st.binary(max_size=300))
def test_any_bytes_as_a_package_are_refused_with_our_error(data: bytes) -> None:
    with pytest.raises(UnsafePackageError, match="expected"):
        PackageReader(io.BytesIO(data))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_package_with_one_changed_byte_is_refused_or_reads_the_same(at: int, by: int) -> None:
    out = io.BytesIO()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    file = PackageFile(path="run", sha256=empty, mode=0o755, size=0)
    made = PackageManifest(
        name="a",
        version="1.0.0",
        kind="app",  # type: ignore[arg-type]
        run=Run(exec=("run",)),
        health=Health(exec=("run",)),
        files=(file,),
    )
    write_package(out, made, [io.BytesIO()], level=1)
    data = bytearray(out.getvalue())
    data[at % len(data)] ^= by
    try:
        reader = PackageReader(io.BytesIO(bytes(data)))
        read = [(name, b"".join(chunks)) for name, chunks in reader.files()]
    except OtaError as error:
        assert error.code == "ota.repository.unsafe_package"  # noqa: PT017 (either may happen)
    else:
        assert (reader.manifest, read) == (made, [(file, b"")])


@given(st.integers(0, 1000), st.integers(1, 255))
def test_a_manifest_with_one_changed_byte_is_never_believed(at: int, by: int) -> None:
    data = bytearray(signed_manifest())
    data[at % len(data)] ^= by
    try:
        found = verify_manifest(bytes(data), ecu_signer().public_key)
    except ManifestError:
        return
    assert found == verify_manifest(signed_manifest(), ecu_signer().public_key)
