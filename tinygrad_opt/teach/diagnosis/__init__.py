"""The rules of `diagnose`: those that read the record, and those that look at model and data."""
