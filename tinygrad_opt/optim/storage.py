"""The storage of a group: its parameters, sorted into flat buffers by dtype and device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..operation import Variable, there
from .flat import Entry, Flat, Moved
from .options import Reader
from .rule import Rule


class Storage:
    """The parameters of a group, however many dtypes and devices they have."""

    def __init__(
        self, params: Sequence[Variable], labels: Sequence[str], rule: Rule, engine: str | None
    ) -> None:
        self.params, self.labels, self.rule, self.engine = params, labels, rule, engine
        self.read = Reader(rule.options)
        self.sort()

    def sort(self) -> None:
        """Make one `Flat` for each dtype on each device."""
        kinds: dict[Any, list[int]] = {}
        for i, p in enumerate(self.params):
            kinds.setdefault((p._data.dtype, p.device), []).append(i)
        self.flats: list[Flat] = []
        self.place: dict[Variable, tuple[Flat, int]] = {}
        for members in kinds.values():
            params = [self.params[i] for i in members]
            labels = [self.labels[i] for i in members]
            device = params[0].device
            self.flats.append(there(device, Flat, params, labels, self.rule, self.engine))
            self.place |= {p: (self.flats[-1], i) for i, p in enumerate(params)}

    def gather(self) -> None:
        """Take in gradients and rebound parameters, which may have moved to other devices."""
        try:
            for flat in self.flats:
                if flat.device.guarded:
                    there(flat.device, flat.gather)
                else:
                    flat.gather()
        except Moved:
            entries = {p: self.entry(p) for p in self.params}
            self.sort()
            self.load(entries)
            self.gather()

    def advance(self, group: Mapping[str, Any]) -> None:
        """Take one step with the options of the group."""
        values = self.read(group)
        for flat in self.flats:
            if flat.device.guarded:
                there(flat.device, flat.advance, values)
            else:
                flat.advance(values)

    def arrays(self, group: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """p, g and state of the parameters that are about to move, many in one array."""
        values = self.read(group)
        for flat in self.flats:
            yield from flat.arrays(values)

    def view(self, p: Variable, letter: str) -> Any:
        """The gradient "g" of a parameter, or its state, where the rule will read it."""
        flat, i = self.place[p]
        return flat.piece(flat.g if letter == "g" else flat.state[letter], i)

    def vacate(self) -> None:
        """Make the places of gradients free to be written into."""
        for flat in self.flats:
            there(flat.device, flat.vacate)

    def begin(self, group: Mapping[str, Any]) -> None:
        """Make the state before the first step."""
        for flat in self.flats:
            there(flat.device, flat.begin, self.read(group))

    def entry(self, p: Variable) -> Entry:
        """Step count and state of a parameter; the arrays are views."""
        flat, i = self.place[p]
        return flat.entry(i)

    def load(self, entries: Mapping[Any, Entry]) -> None:
        """Continue from these step counts and states; parameters without one begin."""
        for flat in self.flats:
            known = {i: entries[p] for i, p in enumerate(flat.params) if p in entries}
            there(flat.device, flat.load, known)
