"""Timings side by side with peers: one run, interleaved, the same weights and losses first."""
