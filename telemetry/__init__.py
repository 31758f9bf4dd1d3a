"""Data on its way out: records, batches, link, ingest."""
