"""Where readings come from: frames, decoding, quality."""
