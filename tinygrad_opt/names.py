"""Names in sentences: which one somebody may have meant, and a piece of a long one."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """\" Did you mean 'adam'?", to put behind "there is no 'adm'."; "" where nothing is near."""
    import difflib

    nearest = difflib.get_close_matches(name[:100].lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def shortened(given: object, longest: int = 40) -> str:
    """What somebody wrote, text in quotes; of a long text the beginning."""
    if not isinstance(given, str) or len(given) <= longest:
        return repr(given)
    return repr(given[: longest - 1] + "…")
