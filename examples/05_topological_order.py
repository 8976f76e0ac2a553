# %% [markdown]
"""# 05 · Why topological order: an engine in 60 lines

An autograd engine is small. Here is a whole one, for single numbers. Then we walk its graph in
two wrong orders, which look right and are found in real projects, and see what they cost.
"""

# %%
import heapq
import itertools
import math

import tinygrad_opt as tg

births = itertools.count()


class Number:
    """A value, the numbers that it was made of, and its slope along each of them."""

    def __init__(self, value, parents=(), slopes=(), name=""):
        self.value, self.parents, self.slopes, self.name = value, parents, slopes, name
        self.grad = 0.0
        self.born = next(births)

    def __add__(self, other):
        other = as_number(other)
        return Number(self.value + other.value, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = as_number(other)
        return Number(self.value * other.value, (self, other), (other.value, self.value))

    def __pow__(self, n):
        return Number(self.value**n, (self,), (n * self.value ** (n - 1),))

    def tanh(self):
        """Its slope is 1 − tanh²."""
        y = math.tanh(self.value)
        return Number(y, (self,), (1 - y * y,))

    def __sub__(self, other):
        return self + as_number(other) * -1.0

    __radd__, __rmul__ = __add__, __mul__

    def hand_on(self):
        """The chain rule: to each parent, what has arrived here times the slope."""
        for parent, slope in zip(self.parents, self.slopes, strict=True):
            parent.grad += self.grad * slope

    def backward(self):
        """Newest first: nobody hands on before all who used it have; gives the order."""
        self.grad = 1.0
        order, waiting, seen = [], [(-self.born, self)], {self}
        while waiting:
            _, number = heapq.heappop(waiting)
            number.hand_on()
            order.append(number)
            for parent in number.parents:
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(waiting, (-parent.born, parent))
        return order


def as_number(x):
    """x itself, or a constant as a Number."""
    return x if isinstance(x, Number) else Number(x)


# %% [markdown]
"""## Two wrong orders

The tempting way is recursion: hand on, then let each parent do the same.

- *Every time*: a number that is used twice hands on twice, and the second time it hands on the
  first share again.
- *Once*: mark who was visited. Now it hands on as soon as its **first** user has reported, and
  what the others bring later stays where it is.

Right is to wait for all users. An order with that property is called **topological**. Here it
costs nothing: a number is made after everything that it is made of, so newest first will do.
"""


# %%
def every_time(number):
    """Wrong: recursion that visits a number once for each use; gives the order."""
    number.hand_on()
    return [number, *(n for parent in number.parents for n in every_time(parent))]


def once(number, order=None):
    """Wrong: recursion that visits a number at its first use; gives the order."""
    order = [] if order is None else order
    number.hand_on()
    order.append(number)
    for parent in number.parents:
        if parent not in order:
            once(parent, order)
    return order


def made(value, name):
    """The number, with a name for the tables."""
    value.name = name
    return value


def twins():
    """b = a + a, c = b + b; so c = 4a."""
    a = Number(1.0, name="a")
    b = made(a + a, "b")
    return made(b + b, "c"), (a,)


def diamonds():
    """c = a + b, d = ab, e = c + d, f = cd, y = e + f."""
    a, b = Number(2.0, name="a"), Number(3.0, name="b")
    c, d = made(a + b, "c"), made(a * b, "d")
    e, f = made(c + d, "e"), made(c * d, "f")
    return made(e + f, "y"), (a, b)


WAYS = {"every time": every_time, "once": once, "newest first": Number.backward}

found = {}
for build in (twins, diamonds):
    print(f"{build.__doc__}\n{'':14}{'slopes':>8}   order")
    for name, walk in WAYS.items():
        result, leaves = build()
        result.grad = 1.0
        order = " ".join(number.name for number in walk(result))
        found[build, name] = [leaf.grad for leaf in leaves]
        slopes = ", ".join(f"{grad:g}" for grad in found[build, name])
        print(f"{name:14}{slopes:>8}   {order}")
    print()

assert found[twins, "every time"] == [8.0], "twice as much as there is"
assert found[diamonds, "every time"] == [29.0, 22.0]
assert found[diamonds, "once"] == [4.0, 3.0], "what f says to c and d comes too late"
assert found[twins, "newest first"] == [4.0]
assert found[diamonds, "newest first"] == [25.0, 19.0]

# %% [markdown]
"""The single-use graphs that one tries first are right in all three ways, and *once* is even right
on the twins. Test an engine on a graph in which something is used twice, by two who are not
equally far away.

## The small engine and ours

The same formulas in both: the diamonds, and two tanh neurons into one.
"""


# %%
def network(w, x):
    """Two hidden units and an output, whose square is the loss; w has nine weights."""
    h1 = (w[0] * x[0] + w[1] * x[1] + w[2]).tanh()
    h2 = (w[3] * x[0] + w[4] * x[1] + w[5]).tanh()
    return (w[6] * h1 + w[7] * h2 + w[8] - 1.0) ** 2


WEIGHTS = [0.4, 0.8, -0.1, -0.3, 0.5, 0.2, 0.7, -0.6, 0.1]
ours = [tg.tensor(w, dtype="float64", requires_grad=True) for w in WEIGHTS]
small = [Number(w) for w in WEIGHTS]
for weights in (ours, small):
    network(weights, (1.5, -0.5)).backward()

print(f"{'weight':>6} {'small engine':>13} {'ours':>13}")
for i, (one, other) in enumerate(zip(small, ours, strict=True)):
    print(f"{i:6d} {one.grad:13.8f} {other.grad.item():13.8f}")
    assert abs(one.grad - other.grad.item()) < 1e-12

a, b = (tg.tensor(x, dtype="float64", requires_grad=True) for x in (2.0, 3.0))
c, d = a + b, a * b
(c + d + c * d).backward()
assert (a.grad.item(), b.grad.item()) == (25.0, 19.0)

# %% [markdown]
"""## What was added, and why

The engine behind `tg.Tensor` does the same, newest first, with a heap. It has more lines because

- a node holds an **array**: a layer of a network is one node instead of thousands;
- slopes are not worked out in advance, and only those that somebody asked for;
- gradients of inner nodes live in the **pass**, not on the nodes, so a second pass is right;
- the rules can be run **on tensors**, so that gradients have gradients.

The last two can be seen. z = 2x² has the slope 4x = 12 at x = 3, and two passes add up to 24.
"""

# %%
x, tensor = Number(3.0), tg.tensor(3.0, requires_grad=True)
z, ours = x * x * 2.0, tensor * tensor * 2.0
print(f"\n{'':16}{'small engine':>13} {'ours':>6}")
for passes in ("one pass", "two passes"):
    z.backward()
    ours.backward()
    print(f"{passes:16}{x.grad:13g} {tensor.grad.item():6g}")

assert (x.grad, tensor.grad.item()) == (36.0, 24.0), "x · x kept its gradient of the first pass"

first = tg.grad(tensor**3, tensor, create_graph=True)
second = tg.grad(first, tensor)
print(f"\nx³ at 3: slope {first.item():g}, and the slope of the slope {second.item():g}")
assert (first.item(), second.item()) == (27.0, 18.0)

# %% [markdown]
"""## Try

1. Mend the small engine's second pass with one line, at the start of `backward`.
2. Give it `exp` and division. How many lines does each need?
3. Count how often *every time* visits a on x ← x + x, repeated 20 times. And *newest first*?

On the command line:

    tinygrad-opt graph --example fan_out --order
"""
