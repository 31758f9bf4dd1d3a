"""Records to bytes and back: columns, batches, receipts. Pure, bounded, deterministic."""
