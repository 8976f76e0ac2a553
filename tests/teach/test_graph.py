"""The graph of a result in four forms: what is in it, in which order, and that any name is safe."""

from __future__ import annotations

import re
import sys
import time
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_opt as tg
from tinygrad_opt import nn, ops
from tinygrad_opt.teach import draw, to_dot, to_mermaid, to_svg, to_text
from tinygrad_opt.teach.examples import EXAMPLES
from tinygrad_opt.teach.graph.boxes import OPERATION
from tinygrad_opt.teach.graph.layout import GAP, arrange
from tinygrad_opt.teach.graph.reading import read

FORMATS = [to_mermaid, to_dot, to_svg, to_text]

every_format = pytest.mark.parametrize("to", FORMATS, ids=lambda to: to.__name__)


def neuron() -> tg.Tensor:
    loss, _ = EXAMPLES["neuron"].build()
    return loss


def network(depth: int = 3) -> tg.Tensor:
    layers = [part for _ in range(depth) for part in (nn.Linear(4, 4), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(4, 3))
    list(model.named_parameters())
    return nn.functional.cross_entropy(model(tg.randn(5, 4)), tg.tensor([0, 1, 2, 0, 1]))


def texts(svg: str) -> list[str]:
    """What stands in a picture, line by line."""
    root = ElementTree.fromstring(svg)
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


# ---- what is in it ----------------------------------------------------------------------------


def test_a_neuron_as_text_has_shapes_values_and_gradients() -> None:
    assert to_text(neuron(), order=True) == (
        "                   shape  value      gradient\n"
        "(1) power(·, 2)           3.103      1\n"
        "(2) subtract              -1.762     -3.523\n"
        "(3) tanh                  -0.7616    -3.523\n"
        "(4) add                   -1         -1.48\n"
        "├─ (5) sum                -1.5       -1.48\n"
        "│  (6) multiply    (2,)   [0.5, -2]  [-1.48, -1.48]\n"
        "│  ├─ w [learned]  (2,)   [0.5, -1]  [-1.48, -2.959]\n"
        "│  └─ x [input]    (2,)   [1, 2]\n"
        "└─ b [learned]            0.5        -1.48\n"
    )


def test_the_gradients_are_those_of_backward_and_grad_stays_as_it_is() -> None:
    loss, leaves = EXAMPLES["linear"].build()
    graph = read(loss)
    assert all(x.grad is None for x in leaves.values())
    loss.backward()
    for name in ("w", "b"):
        box = next(box for box in graph.boxes.values() if box.name == name)
        numbers = np.array([float(text) for text in re.findall(r"[-\d.e]+", box.gradient)])
        grad = leaves[name].grad.cpu().numpy().reshape(-1)
        assert np.allclose(numbers, grad, rtol=1e-3)


def test_the_values_are_those_of_the_forward_pass() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    a = ops.exp(x)
    b = a + x  # no derivative reads it, so that it is computed again
    c = ops.concatenate([a, b])
    shown = [box.value for box in read(c.sum()).boxes.values()]
    assert shown == [
        "[1, 2]",
        "[2.718, 7.389]",
        "[3.718, 9.389]",
        "[2.718, 7.389, 3.718, 9.389]",
        "23.21",
    ]


def test_a_value_that_is_not_known_is_left_out() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    boxes = read((x + 1.0).sum()).boxes.values()  # nothing keeps the 1
    assert [(box.name, box.value) for box in boxes] == [
        ("learned", "[1, 2]"),
        ("add", ""),
        ("sum", "5"),
    ]


def test_an_operation_of_somebody_is_not_run_again() -> None:
    calls = []

    @tg.op(lambda xp, g, y, x: g * 2)
    def twice(xp, x):
        calls.append(x)
        return x * 2

    loss = twice(tg.tensor([1.0, 2.0], requires_grad=True)).sum()
    assert [box.value for box in read(loss).boxes.values()] == ["[1, 2]", "", "6"]
    assert len(calls) == 1


def test_the_order_is_that_in_which_a_backward_pass_visits() -> None:
    loss = network()
    visited: list[int] = []
    waiting, nodes = [loss._node], {}
    while waiting:
        node = waiting.pop()
        nodes[node[0]] = node
        waiting += [one for one in node[2] if type(one) is tuple and one[0] not in nodes]
    for number, node in nodes.items():
        node[6].append(lambda g, number=number: visited.append(number))
    loss.backward()
    for node in nodes.values():
        node[6].clear()
    boxes = [box for box in read(loss).boxes.values() if box.kind == OPERATION]
    assert [box.first for box in boxes] == list(range(len(boxes), 0, -1))
    assert visited == sorted(visited)  # numbers fall, and boxes follow them
    assert len(visited) == len(boxes)


def test_an_operation_with_several_outputs() -> None:
    x = tg.tensor([[2.0, 0.0], [0.0, 3.0]], requires_grad=True)
    y = ops.split(x, 2)
    text = to_text((y[0] * y[1]).sum())
    assert text.count("[[2, 0], [0, 3]]") == 1
    assert "[[0, 3], [2, 0]]" in text  # each half's gradient is the other one


def test_numbers_and_options_of_an_operation_are_shown_where_they_are_unusual() -> None:
    x = tg.randn(2, 3, requires_grad=True)
    text = to_text((x**3).sum(axis=1).mean())
    assert "power(·, 3)" in text and "sum(axis=1)" in text and "\nmean " in f"\n{text}"
    loss = network()
    assert "ignore_index" not in to_text(loss)


def test_layers_are_framed_by_the_names_of_their_parameters() -> None:
    loss = network(1)
    assert 'subgraph layer0["layer 0"]' in to_mermaid(loss)
    assert 'subgraph cluster_0 {\n        label="layer 0";' in to_dot(loss)
    assert {"layer 0", "layer 2"} <= set(texts(to_svg(loss)))


def test_a_leaf_and_a_result_of_several_numbers_say_what_is_missing() -> None:
    x = tg.tensor([1.0, 2.0])
    assert "No operation was recorded" in to_text(x)
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    assert "The result is not one number, so no gradient is shown." in to_text(w * 2)


def test_a_leaf_that_was_changed_says_so_and_shows_no_stale_value() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    b = tg.tensor([1.0, 1.0], requires_grad=True)
    loss = ((w * w + b) ** 2).sum()
    with tg.no_grad():
        w += 1
    text = to_text(loss)
    assert "No gradients: backward: multiply needs the value" in text
    assert "[4, 9]" not in text


@every_format
def test_what_is_no_tensor_and_too_few_boxes_are_refused(to) -> None:
    with pytest.raises(TypeError, match="graph: float is no Tensor; give the result, such as a"):
        to(1.0)
    with pytest.raises(ValueError, match="graph: max_nodes is 1; two boxes are the least"):
        to(neuron(), max_nodes=1)


def test_a_model_in_training_with_dropout_is_drawn_as_it_ran() -> None:
    x = tg.ones(3, requires_grad=True)
    y = nn.functional.dropout(x, 0.5)
    loss = (y * y).sum()
    text = to_text(loss)
    assert str([f"{v:.4g}" for v in y.tolist()]).replace("'", "") in text


# ---- how it is written ------------------------------------------------------------------------


def test_a_golden_mermaid_text() -> None:
    assert to_mermaid(EXAMPLES["fan_out"].build()[0], order=True) == (
        "flowchart TB\n"
        '    n0["x<br/>= 3<br/>grad 5.01"]\n'
        '    n1(["(3) multiply<br/>= 9<br/>grad 1"])\n'
        '    n2(["(2) sin<br/>= 0.1411<br/>grad 1"])\n'
        '    n3(["(1) add<br/>= 9.141<br/>grad 1"])\n'
        "    n0 --> n1\n"
        "    n0 --> n1\n"
        "    n0 --> n2\n"
        "    n1 --> n3\n"
        "    n2 --> n3\n"
        "    classDef learned stroke-width:3px\n"
        "    class n0 learned\n"
    )


def test_a_golden_dot_text() -> None:
    text = to_dot(EXAMPLES["fan_out"].build()[0])
    assert text.startswith("digraph {\n") and text.endswith("\n}\n")
    assert '    n0 [label="x\\n= 3\\ngrad 5.01", shape=box, penwidth=2.5];\n' in text
    assert "    n0 -> n1;\n    n0 -> n1;\n    n0 -> n2;\n    n1 -> n3;\n    n2 -> n3;\n" in text


def named(name: str) -> tg.Tensor:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    w.name = name
    return (w * w).sum()


STRING = r'"(?:[^"\\\n]|\\.)*"'
DOT = re.compile(
    rf"digraph \{{\n(?: *(?:graph|node|edge|label|n\d+|subgraph)(?:[^\"\n]|{STRING})*\n| *\}}\n)*\Z"
)
MERMAID = re.compile(r' *n\d+(?:\[\[|\(\[|\[)"[^"<>\n]*(?:<br/>[^"<>\n]*)*"(?:\]\]|\]\)|\])')

awkward = st.text(min_size=1, max_size=30) | st.text('"\\<>&\n;#[](){}|`%-0.', min_size=1)


@given(awkward)
def test_any_name_is_safe_in_every_format(name: str) -> None:
    loss = named(name)
    assert DOT.match(to_dot(loss))
    lines = to_mermaid(loss).splitlines()
    assert all(MERMAID.fullmatch(line) for line in lines if re.match(r" *n\d+[\[(]", line))
    svg = to_svg(loss)
    svg.encode()
    texts(svg)
    assert len(to_text(loss).splitlines()) == 5


def test_names_come_back_as_they_were() -> None:
    name = 'a "quoted" <b> & \\N \u00fc\u4e2d'
    assert name in texts(to_svg(named(name)))
    assert name in to_text(named(name))
    assert 'a \\"quoted\\" <b> & \\\\N' in to_dot(named(name))
    assert "a #34;quoted#34; #60;b#62; #38; #92;N" in to_mermaid(named(name))


def test_a_picture_tells_its_title_to_those_who_hear_it() -> None:
    root = ElementTree.fromstring(to_svg(neuron()))
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert [one.tag for one in root][:2] == [f"{space}title", f"{space}desc"]
    assert root[0].text == "The graph of power(·, 2)"
    assert root[1].text == "9 boxes, 8 lines. "


def test_a_notebook_shows_the_picture_and_it_can_be_saved(tmp_path) -> None:
    svg = to_svg(neuron())
    assert svg._repr_svg_() == svg
    svg.save(tmp_path / "neuron.svg")
    assert (tmp_path / "neuron.svg").read_text(encoding="utf-8") == svg


def test_draw_takes_graphviz_where_it_is_and_else_the_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = neuron()
    monkeypatch.setitem(sys.modules, "graphviz", None)
    assert draw(loss) == to_svg(loss)
    monkeypatch.setitem(sys.modules, "graphviz", SimpleNamespace(Source=lambda text: [text]))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert draw(loss) == to_svg(loss)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert draw(loss, order=True) == [to_dot(loss, order=True)]


# ---- the layout -------------------------------------------------------------------------------


@given(st.integers(2, 14), st.data())
def test_boxes_never_overlap_and_inputs_are_above(n: int, data) -> None:
    edges = [(i, i + 1) for i in range(n - 1)]
    edges += data.draw(
        st.lists(
            st.tuples(st.integers(0, n - 2), st.integers(1, n - 1)).filter(lambda e: e[0] < e[1])
        )
    )
    widths = data.draw(st.lists(st.integers(20, 200), min_size=n, max_size=n))
    found = arrange({i: (float(w), 30.0) for i, w in enumerate(widths)}, edges, {})
    places = list(found.places.values())
    for source, target in edges:
        assert found.places[source].bottom < found.places[target].top
        (x, y), *_, (c, d) = found.paths[source, target]
        assert (x, y) == (found.places[source].x, found.places[source].bottom)
        assert (c, d) == (found.places[target].x, found.places[target].top)
    for i, a in enumerate(places):
        assert a.left >= -1e-6 and a.right <= found.width + 1e-6 and a.bottom <= found.height + 1e-6
        for b in places[:i]:
            assert a.row != b.row or abs(a.x - b.x) >= (a.width + b.width) / 2 + GAP - 1e-6


def test_a_line_over_several_rows_passes_between_the_boxes() -> None:
    sizes = {i: (80.0, 30.0) for i in range(5)}
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]
    found = arrange(sizes, edges, {})
    for x, y in found.paths[0, 4][2:-2]:
        for i in (1, 2, 3):
            place = found.places[i]
            assert not (place.left < x < place.right and place.top < y < place.bottom)


def test_lines_are_uncrossed_where_that_is_possible() -> None:
    sizes = {i: (40.0, 20.0) for i in range(7)}
    edges = [(0, 4), (1, 5), (2, 4), (3, 5), (4, 6), (5, 6)]
    x = {i: place.x for i, place in arrange(sizes, edges, {}).places.items()}
    assert max(x[0], x[2]) < min(x[1], x[3]) or max(x[1], x[3]) < min(x[0], x[2])


# ---- large graphs -----------------------------------------------------------------------------


def test_above_max_nodes_a_layer_is_one_box() -> None:
    loss = network(6)
    graph = read(loss, max_nodes=12)
    names = [box.name for box in graph.boxes.values()]
    assert [name for name in names if name.startswith("layer")] == [
        *(f"layer {2 * i}: 1 operation, 20 numbers learned" for i in range(6)),
        "layer 12: 1 operation, 15 numbers learned",
    ]
    assert graph.notes == [
        "24 operations and tensors are drawn as 10 boxes, those of a layer as one, because there "
        "are more than max_nodes=12."
    ]
    orders = [box.order for box in graph.boxes.values() if box.order]
    assert orders == ["8", "7", "6", "5", "4", "3", "2", "1"]


def test_a_layer_that_is_used_twice_makes_no_circle() -> None:
    cell, out = nn.Linear(3, 3), nn.Linear(3, 3)
    for name, layer in (("cell", cell), ("out", out)):
        layer.weight.name, layer.bias.name = f"{name}.weight", f"{name}.bias"
    h = tg.randn(2, 3)
    for _ in range(5):
        h = ops.tanh(out(ops.tanh(cell(h))) + h)
    for limit in (4, 10, 20):
        graph = read(h.sum(), max_nodes=limit)
        assert len(graph.boxes) <= limit
        seen: set[int] = set()
        for key, box in graph.boxes.items():
            assert {source for source, _ in box.inputs} <= seen
            seen.add(key)
        texts(to_svg(h.sum(), max_nodes=limit))


@every_format
def test_a_chain_of_many_operations_is_cut_and_says_so(to) -> None:
    h = tg.tensor(1.0, requires_grad=True)
    for _ in range(3_000):
        h = h + 1.0
    began = time.perf_counter()
    text = to(h, max_nodes=10)
    assert time.perf_counter() - began < 10
    note = "2,992 older operations and tensors are not drawn. A max_nodes above 10 shows more."
    assert note in text and "2,991 earlier operations" in text


@pytest.mark.slow
@pytest.mark.on("cpu")
def test_two_hundred_thousand_operations_neither_recurse_nor_hang() -> None:
    h = tg.tensor(1.0, requires_grad=True)
    for _ in range(200_000):
        h = h * 1.0
    assert "earlier operations" in to_text(h)
