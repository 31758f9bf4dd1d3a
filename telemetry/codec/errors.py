"""The one error of the codec.

Codes (never reused): codec.too_large, codec.truncated, codec.shape, codec.not_deterministic,
codec.version, codec.purpose, codec.schema, codec.columns, codec.counts, codec.range.
"""


class CodecError(ValueError):
    """Bytes from outside are not what this version of the format allows.

    ``code`` says which rule was broken; the message says what was expected and found. Nothing
    was decoded, nothing is changed.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code
