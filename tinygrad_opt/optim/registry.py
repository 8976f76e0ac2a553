"""The optimizers by name, with what a person wants to know before choosing one."""

from __future__ import annotations

import difflib
import inspect
import textwrap
from dataclasses import dataclass, field
from typing import Any

from .adam import Adam, AdamW
from .adaptive import Adadelta, Adagrad, RMSprop
from .gradient_descent import SGD
from .optimizer import Optimizer
from .parameters import Params


@dataclass(frozen=True)
class Entry:
    """A class with options of its own; calling it makes the optimizer."""

    kind: type[Optimizer]
    paper: str
    year: int
    fixes: str  # one sentence: what is wrong with what came before
    matches: str  # whose numbers these are
    preset: dict[str, Any] = field(default_factory=dict)
    line: str = ""  # the word that ends its lines of the equation, where a class has several forms

    def __call__(self, params: Params, **options: Any) -> Optimizer:
        """The optimizer, with the preset options unless others are given."""
        make: Any = self.kind
        made: Optimizer = make(params, **(self.preset | options))
        return made

    @property
    def equation(self) -> str:
        """The update rule, from the docstring of the class."""
        block = (inspect.getdoc(self.kind) or "").split("\n\n")[1]
        lines = textwrap.dedent(block).splitlines()
        own = [line.removesuffix(self.line) for line in lines if line.endswith(self.line)]
        return "\n".join(line.rstrip() for line in own)

    @property
    def defaults(self) -> dict[str, Any]:
        """The options of the rule, without PyTorch's flags."""
        signature = inspect.signature(self.kind).parameters.values()
        own = {p.name: p.default for p in signature if p.default is not p.empty}
        return own | self.preset

    @property
    def defaults_text(self) -> str:
        """As they are written in a call."""
        return ", ".join(f"{name}={value!r}" for name, value in self.defaults.items())

    @property
    def state(self) -> dict[str, str]:
        """What is kept for every parameter: the paper's letter and the name in checkpoints."""
        gates, options = self.kind.state_if, self.defaults
        return {s: k for s, k in self.kind.state.items() if s not in gates or options[gates[s]]}


OPTIMIZERS = {
    "sgd": Entry(
        SGD,
        "Robbins & Monro",
        1951,
        "goes downhill with gradients of a few examples at a time; the others repair its troubles",
        "torch.optim.SGD",
        line="plain",
    ),
    "momentum": Entry(
        SGD,
        "Polyak; Sutskever et al. 2013",
        1964,
        "zigzags across a narrow valley cancel, steps along it add up",
        "torch.optim.SGD(momentum=0.9)",
        {"momentum": 0.9},
        line="momentum",
    ),
    "nesterov": Entry(
        SGD,
        "Nesterov; Sutskever et al. 2013",
        1983,
        "looks at the gradient where momentum is about to carry it, and overshoots less",
        "torch.optim.SGD(momentum=0.9, nesterov=True)",
        {"momentum": 0.9, "nesterov": True},
        line="nesterov",
    ),
    "adagrad": Entry(
        Adagrad,
        "Duchi, Hazan & Singer, JMLR 12",
        2011,
        "one rate for all: weights whose gradients are seldom or small get larger steps",
        "torch.optim.Adagrad",
    ),
    "rmsprop": Entry(
        RMSprop,
        "Tieleman & Hinton, lecture 6.5",
        2012,
        "the rates of Adagrad only fall: old gradients are forgotten, so it keeps moving",
        "torch.optim.RMSprop, and it stays finite where v − ḡ² rounds below 0",
    ),
    "adadelta": Entry(
        Adadelta,
        "Zeiler, arXiv:1212.5701",
        2012,
        "the rate has to be found: the size of earlier steps takes its place",
        "torch.optim.Adadelta",
    ),
    "adam": Entry(
        Adam,
        "Kingma & Ba, arXiv:1412.6980",
        2015,
        "joins momentum and RMSprop, and corrects both averages for their start at zero",
        "torch.optim.Adam",
    ),
    "adamw": Entry(
        AdamW,
        "Loshchilov & Hutter, arXiv:1711.05101",
        2019,
        "in Adam weight decay is divided away with the gradient: here it acts on the weights",
        "torch.optim.AdamW",
    ),
}

SYNONYMS = {
    "gd": "sgd",
    "gradientdescent": "sgd",
    "vanilla": "sgd",
    "sgd+momentum": "momentum",
    "sgdmomentum": "momentum",
    "heavyball": "momentum",
    "nag": "nesterov",
    "sgd+nesterov": "nesterov",
    "sgdnesterov": "nesterov",
}


def get_optimizer(name: str) -> Entry:
    """The entry for a name in any spelling; ValueError names the nearest where there is none.

    get_optimizer("SGD + momentum")(model.parameters(), lr=0.1)
    """
    plain = "".join(c for c in name.lower() if c not in " -_")
    known = SYNONYMS.get(plain, plain)
    if known not in OPTIMIZERS:
        nearest = difflib.get_close_matches(plain, [*OPTIMIZERS, *SYNONYMS], n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"there is no optimizer {name!r}.{hint} There are {', '.join(OPTIMIZERS)}."
        )
    return OPTIMIZERS[known]
