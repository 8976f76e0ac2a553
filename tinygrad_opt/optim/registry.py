"""The optimizers by name, with what a person wants to know before choosing one."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass, field
from typing import Any

from ..names import did_you_mean
from .adam import Adam, AdamW
from .adam_denominator import ADOPT, AdaBelief, Yogi
from .adam_numerator import MARS, Adan, AdEMAMix
from .adam_relatives import Adamax, NAdam, RAdam, SparseAdam
from .adaptive import FTRL, Adadelta, Adagrad, RMSprop
from .cautious import CautiousAdamW, CautiousLion
from .gradient_descent import ASGD, SGD, SGLD, PolyakStep
from .kronecker import SOAP, Shampoo
from .layerwise import LAMB, LARS, Adafactor, NovoGrad
from .lbfgs import LBFGS
from .matrix import Muon
from .momentum import QHM, AggMo, OptimisticGD
from .optimizer import Optimizer
from .parameter_free import DAdaptAdam, DAdaptSGD, Prodigy
from .parameters import Params
from .schedule_free import AdamWScheduleFree, SGDScheduleFree
from .second_order import ConjugateGradient, Newton
from .sign import Lion, Rprop, SignSGD, Signum, Tiger
from .sophia import SophiaG, SophiaH


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
    "asgd": Entry(
        ASGD,
        "Polyak & Juditsky, SIAM J. Control Optim. 30",
        1992,
        "at a constant rate the path circles around the minimum: its mean comes closer",
        "torch.optim.ASGD",
    ),
    "qhm": Entry(
        QHM,
        "Ma & Yarats, arXiv:1810.06801",
        2019,
        "SGD, momentum and Nesterov's are ends of one formula: takes what lies between",
        "pytorch_optimizer.QHM",
    ),
    "aggmo": Entry(
        AggMo,
        "Lucas et al., arXiv:1804.00325",
        2019,
        "a momentum near 1 swings for long: quicker ones beside it damp the swings",
        "pytorch_optimizer.AggMo",
    ),
    "optimisticgd": Entry(
        OptimisticGD,
        "Daskalakis et al., arXiv:1711.00141",
        2018,
        "two players who go downhill at once circle each other: expects the other's next move",
        "optax.optimistic_gradient_descent",
    ),
    "polyakstep": Entry(
        PolyakStep,
        "Polyak; Loizou et al., arXiv:2002.10542",
        1987,
        "the rate has to be found: height over the minimum and slope tell how far it is",
        "optax.polyak_sgd",
    ),
    "sgld": Entry(
        SGLD,
        "Welling & Teh, ICML",
        2011,
        "one solution says nothing of how sure it is: noise makes the path a sample",
        "the stationary variance, T / (a (1 − η a / 2)) for ½ a p²",
    ),
    "rprop": Entry(
        Rprop,
        "Riedmiller & Braun",
        1993,
        "gradients shrink from layer to layer: only their signs count, for full batches",
        "torch.optim.Rprop",
    ),
    "signsgd": Entry(
        SignSGD,
        "Bernstein et al., arXiv:1802.04434",
        2018,
        "gradients are large to send between machines: one bit a number does",
        "pytorch_optimizer.SignSGD(momentum=0), optax.sign_sgd",
    ),
    "signum": Entry(
        Signum,
        "Bernstein et al., arXiv:1802.04434",
        2018,
        "the sign of one batch is mostly noise: takes that of a running mean",
        "pytorch_optimizer.SignSGD, optax.signum",
    ),
    "tiger": Entry(
        Tiger,
        "Su, github.com/bojone/tiger",
        2023,
        "state costs memory: one average is all that is kept",
        "pytorch_optimizer.Tiger",
    ),
    "lion": Entry(
        Lion,
        "Chen et al., arXiv:2302.06675",
        2023,
        "what is best for a step is not best to remember: two betas, half the state of Adam",
        "lion_pytorch.Lion, optax.lion",
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
    "ftrl": Entry(
        FTRL,
        "McMahan et al., KDD",
        2013,
        "steps never make a weight exactly 0: solves for the weights, so most of them are",
        "keras.optimizers.Ftrl",
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
    "cautiousadamw": Entry(
        CautiousAdamW,
        "Liang et al., arXiv:2411.16085",
        2024,
        "momentum goes on where the gradient has turned: waits there, and steps longer elsewhere",
        "timm.optim.AdamWLegacy(caution=True)",
    ),
    "cautiouslion": Entry(
        CautiousLion,
        "Liang et al., arXiv:2411.16085",
        2024,
        "as in AdamW: where step and gradient disagree, waiting costs nothing",
        "timm.optim.Lion(caution=True)",
    ),
    "adamax": Entry(
        Adamax,
        "Kingma & Ba, arXiv:1412.6980, section 7.1",
        2015,
        "a mean of squares forgets a rare large gradient slowly and unevenly: keep the largest",
        "torch.optim.Adamax",
    ),
    "nadam": Entry(
        NAdam,
        "Dozat, ICLR workshop",
        2016,
        "Adam's momentum lags behind: looks ahead as Nesterov's does",
        "torch.optim.NAdam",
    ),
    "radam": Entry(
        RAdam,
        "Liu et al., arXiv:1908.03265",
        2020,
        "Adam's first steps divide by a v that few gradients made: waits, without a warmup",
        "torch.optim.RAdam",
    ),
    "sparseadam": Entry(
        SparseAdam,
        "PyTorch",
        2017,
        "of a large table of embeddings a batch sees a few rows: only those cost anything",
        "torch.optim.SparseAdam",
    ),
    "adabelief": Entry(
        AdaBelief,
        "Zhuang et al., arXiv:2010.07468",
        2020,
        "Adam is slow on a steady slope: measures surprise instead of size",
        "adabelief_pytorch.AdaBelief(rectify=False), optax.adabelief",
    ),
    "yogi": Entry(
        Yogi,
        "Zaheer et al., NeurIPS",
        2018,
        "Adam's v forgets large gradients fast, and its rate leaps up: v moves by small amounts",
        "pytorch_optimizer.Yogi, optax.yogi",
    ),
    "adopt": Entry(
        ADOPT,
        "Taniguchi et al., arXiv:2411.02853",
        2024,
        "Adam may diverge as g is in its own v: divides by the v of before, for any β₂",
        "optax.contrib.adopt, timm.optim.Adopt(clip_exp=0.25)",
    ),
    "adan": Entry(
        Adan,
        "Xie et al., arXiv:2208.06677",
        2022,
        "Nesterov's look ahead costs a second gradient: differences of gradients replace it",
        "pytorch_optimizer.Adan, timm.optim.Adan",
    ),
    "ademamix": Entry(
        AdEMAMix,
        "Pagliardini et al., arXiv:2409.03137",
        2024,
        "one average cannot be quick and remember long: keeps two",
        "pytorch_optimizer.AdEMAMix, optax.contrib.ademamix",
    ),
    "mars": Entry(
        MARS,
        "Yuan et al., arXiv:2411.10438",
        2024,
        "batches make gradients noisy: what two of them in a row share cancels",
        "timm.optim.Mars",
    ),
    "lars": Entry(
        LARS,
        "You, Gitman & Ginsburg, arXiv:1708.03888",
        2017,
        "large batches want rates that some layers cannot bear: steps in proportion to weights",
        "timm.optim.Lars(always_adapt=True)",
    ),
    "lamb": Entry(
        LAMB,
        "You et al., arXiv:1904.00962",
        2020,
        "LARS is SGD: gives Adam the same for each layer",
        "optax.lamb, timm.optim.Lamb(max_grad_norm=None)",
    ),
    "novograd": Entry(
        NovoGrad,
        "Ginsburg et al., arXiv:1905.11286",
        2019,
        "Adam keeps a v for every number: one for each layer is enough",
        "timm.optim.NvNovoGrad",
    ),
    "adafactor": Entry(
        Adafactor,
        "Shazeer & Stern, arXiv:1804.04235",
        2018,
        "Adam's state is twice the model: of v only the means of rows and columns are kept",
        "torch.optim.Adafactor",
    ),
    "shampoo": Entry(
        Shampoo,
        "Gupta, Koren & Singer, arXiv:1802.09568",
        2018,
        "Adagrad sees each number alone: here rows and columns vary together",
        "pytorch_optimizer.Shampoo",
    ),
    "soap": Entry(
        SOAP,
        "Vyas et al., arXiv:2409.11321",
        2024,
        "Shampoo's roots are dear and get stale: Adam runs in its directions",
        "pytorch_optimizer.SOAP, with its QR in full precision",
    ),
    "muon": Entry(
        Muon,
        "Jordan et al. 2024; Liu et al., arXiv:2502.16982",
        2024,
        "steps of a matrix follow its few largest directions: makes all directions equally long",
        "torch.optim.Muon, iterated in the precision of the weights instead of bfloat16",
    ),
    "newton": Entry(
        Newton,
        "Dembo & Steihaug, Math. Programming 26; Martens, ICML 2010",
        1983,
        "a slope does not say how far to go: the curvature does, in all directions at once",
        "the solution of a parabola in one step",
    ),
    "conjugategradient": Entry(
        ConjugateGradient,
        "Hestenes & Stiefel; Polak & Ribière",
        1969,
        "steepest descent undoes its own work: directions that leave alone what is settled",
        "the solution of a parabola of n numbers in n steps",
    ),
    "lbfgs": Entry(
        LBFGS,
        "Liu & Nocedal, Math. Programming 45",
        1989,
        "gradients do not know how the slope changes: learns the curvature from differences",
        "torch.optim.LBFGS, and it steps back from a loss that is not finite",
    ),
    "sophiah": Entry(
        SophiaH,
        "Liu et al., arXiv:2305.14342",
        2023,
        "the Hessian is too large: its diagonal, from one random product now and then, will do",
        "pytorch_optimizer.SophiaH",
    ),
    "sophiag": Entry(
        SophiaG,
        "Liu et al., arXiv:2305.14342",
        2023,
        "second derivatives may be negative and dear: gradients for labels drawn from the model",
        "pytorch_optimizer.SophiaH with the same estimates",
    ),
    "dadaptsgd": Entry(
        DAdaptSGD,
        "Defazio & Mishchenko, arXiv:2301.07733",
        2023,
        "the best rate depends on how far the solution is: estimates the distance on the way",
        "dadaptation.DAdaptSGD",
    ),
    "dadaptadam": Entry(
        DAdaptAdam,
        "Defazio & Mishchenko, arXiv:2301.07733",
        2023,
        "Adam's rate has to be found, too: the distance, in its norm",
        "dadaptation.DAdaptAdam",
    ),
    "prodigy": Entry(
        Prodigy,
        "Mishchenko & Defazio, arXiv:2306.06101",
        2024,
        "D-Adaptation is slow to see the distance: a sharper bound",
        "prodigyopt.Prodigy",
    ),
    "sgdschedulefree": Entry(
        SGDScheduleFree,
        "Defazio et al., arXiv:2405.15682",
        2024,
        "a schedule has to know when training ends: the mean of the path needs none",
        "schedulefree.SGDScheduleFree",
    ),
    "adamwschedulefree": Entry(
        AdamWScheduleFree,
        "Defazio et al., arXiv:2405.15682",
        2024,
        "the same for Adam: no schedule, no end to name",
        "schedulefree.AdamWScheduleFree",
    ),
}

SYNONYMS = {
    "cg": "conjugategradient",
    "dadaptation": "dadaptadam",
    "optimistic": "optimisticgd",
    "polyak": "polyakstep",
    "schedulefree": "adamwschedulefree",
    "schedulefreeadamw": "adamwschedulefree",
    "schedulefreesgd": "sgdschedulefree",
    "sophia": "sophiah",
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
        hint = did_you_mean(plain, [*OPTIMIZERS, *SYNONYMS])
        raise ValueError(
            f"there is no optimizer {name!r}.{hint} There are {', '.join(OPTIMIZERS)}."
        )
    return OPTIMIZERS[known]
