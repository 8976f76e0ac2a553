"""Pictures of records: each function takes Histories or results and returns a matplotlib figure.

Nothing is shown or written; `figure.savefig(path)` does that. matplotlib is the extra `[viz]`.
"""
