"""The bytes of parts, as every release reads them."""

from telemetry.codec.part import decode_part, join, split

PAYLOAD = bytes(range(200))
GOLDEN = (
    (
        "a600010158201901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f0201"
        "03020418c8055864000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f4041424344454647"
        "48494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60616263"
    ),
    (
        "a600010158201901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f0202"
        "03020418c80558646465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
        "8485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaab"
        "acadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7"
    ),
)


def test_parts_are_the_golden_bytes() -> None:
    assert tuple(part.hex() for part in split(PAYLOAD, max_bytes=164)) == GOLDEN


def test_the_golden_parts_are_read() -> None:
    parts = [decode_part(bytes.fromhex(part), max_bytes=1 << 20) for part in GOLDEN]
    assert join(parts) == PAYLOAD
