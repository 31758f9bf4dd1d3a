"""The far end: subscribe, open, decode, count once, store, acknowledge."""
