"""A CSV file becomes a data set, or a sentence that names line and column."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tinygrad_opt import data
from tinygrad_opt.data import read_csv

pytestmark = pytest.mark.host

FLOWERS = "length,width,species\n1.0,2,rose\n1.5,2.5,tulip\n3,4,rose\n"


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "mine.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_text_in_the_last_column_makes_classes(csv):
    one = read_csv(csv(FLOWERS))
    assert one.name == "mine"
    assert one.feature_names == ("length", "width")
    assert one.class_names == ("rose", "tulip")
    assert one.x.dtype == np.float32
    assert one.x.tolist() == [[1, 2], [1.5, 2.5], [3, 4]]
    assert one.y.dtype == np.int64
    assert one.y.tolist() == [0, 1, 0]


@pytest.mark.parametrize("target", ["width", 1, -2])
def test_the_target_can_be_another_column(csv, target):
    one = read_csv(csv("length,width,height\n1,2.5,0\n3,4.5,1\n"), target=target)
    assert one.feature_names == ("length", "height")
    assert one.target_name == "width"
    assert one.task == "regression"
    assert one.y.dtype == np.float32
    assert one.y.tolist() == [2.5, 4.5]
    assert one.x.tolist() == [[1, 0], [3, 1]]


@pytest.mark.parametrize("target", [None, "2", 2])
def test_without_a_header_columns_are_called_by_their_place(csv, target):
    one = read_csv(csv("1,2,a\n3,4,b\n5,6,a\n"), target=target)
    assert len(one) == 3
    assert one.feature_names == ("0", "1")
    assert one.class_names == ("a", "b")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_separators_line_ends_and_byte_order_marks(csv, separator, end, mark):
    text = FLOWERS.replace(",", separator).replace("\n", end)
    one = read_csv(csv(mark + text.encode()))
    assert one.feature_names == ("length", "width")
    assert one.y.tolist() == [0, 1, 0]


def test_blank_lines_and_spaces_do_not_matter_and_quotes_are_read(csv):
    one = read_csv(csv('\n"a, b" , c , y\n\n 1 , 2 , "x, 1"\n,,\n3,4,z\n  \n'))
    assert one.feature_names == ("a, b", "c")
    assert one.class_names == ("x, 1", "z")
    assert one.x.tolist() == [[1, 2], [3, 4]]


def test_few_integers_are_classes_and_many_are_numbers(csv):
    few = read_csv(csv("x,y\n" + "".join(f"{i},{10 * (i % 3)}\n" for i in range(12))))
    assert few.class_names == ("0", "10", "20")
    assert few.y.tolist() == [0, 1, 2] * 4
    many = read_csv(csv("x,y\n" + "".join(f"{i},{i % 25}\n" for i in range(100))))
    assert many.task == "regression"
    rare = read_csv(csv("x,y\n" + "".join(f"{i},{i}\n" for i in range(6))))
    assert rare.task == "regression"
    halves = read_csv(csv("x,y\n" + "".join(f"{i},{i % 2 / 2}\n" for i in range(12))))
    assert halves.task == "regression"


def test_the_same_number_written_in_two_ways_is_one_class(csv):
    one = read_csv(csv("x,y\n1,1\n2,1.0\n3,-2\n4,-2.0\n"), task="classification")
    assert one.class_names == ("-2", "1")
    assert one.y.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "labels",
    [
        ("16777216", "16777217"),  # one float32
        ("1234567", "1234568"),
        ("9007199254740992", "9007199254740993"),  # one float64
        ("0.1", "0.10000000000000000000000000000000000000000000000001"),
        ("-340282346638528859811704183484516925440", "340282346638528859811704183484516925440"),
        ("0", "1e-400"),
    ],
)
def test_classes_are_told_apart_as_they_are_written(csv, labels):
    rows = "".join(f"{i},{labels[i % 2]}\n" for i in range(12))
    one = read_csv(csv("x,y\n" + rows), task="classification")
    assert tuple(map(str.lower, one.class_names)) == labels
    assert one.y.tolist() == [0, 1] * 6
    if "." not in labels[0] and "e" not in labels[1]:
        assert read_csv(csv("x,y\n" + rows)).class_names == labels


def test_numbers_that_nearly_are_integers_are_no_classes(csv):
    one = read_csv(csv("x,y\n" + "".join(f"{i},{16777216 + i % 2 / 2}\n" for i in range(12))))
    assert one.task == "regression"


def test_one_number_written_in_two_ways_is_nothing_to_learn(csv):
    with pytest.raises(ValueError, match="it is '1' in every line; there is nothing to learn"):
        read_csv(csv("x,y\n1,1\n2,1.0\n3,1\n4,1.0\n"))


def test_a_number_with_an_underscore_is_text(csv):
    with pytest.raises(ValueError, match=r"line 2, column 'a': '1_0' is not a number"):
        read_csv(csv("a,y\n1_0,1.5\n2,2.5\n"))
    assert read_csv(csv("x,y\n1,1_0\n2,10\n3,1_0\n")).class_names == ("10", "1_0")
    assert read_csv(csv("1_0,2_0\n1,1.5\n2,2.5\n")).feature_names == ("1_0",)


def test_the_task_can_be_said(csv):
    path = csv("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(12)))
    assert read_csv(path, task="regression").y.tolist() == [0, 1, 2] * 4
    assert read_csv(path, task="regression").y.dtype == np.float32
    assert read_csv(path, target="x", task="classification").n_classes == 12
    with pytest.raises(ValueError, match="task is 'clustering'"):
        read_csv(path, task="clustering")


def test_what_was_read_can_be_trained_on(csv):
    rows = "".join(f"{i},{i * i % 7},{'odd' if i % 2 else 'even'}\n" for i in range(20))
    train, test = data.prepare(read_csv(csv("a,b,kind\n" + rows)))
    assert (len(train), len(test)) == (16, 4)
    np.testing.assert_allclose(train.x.std(axis=0), 1, atol=1e-5)
    x, y = next(iter(data.DataLoader(train)))
    assert (x.shape, y.shape) == ((16, 2), (16,))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"read_csv: there is no file .*nothing\.csv\."):
        read_csv(tmp_path / "nothing.csv")


def test_what_has_no_end_is_not_read(tmp_path):
    pipe, device = tmp_path / "pipe.csv", tmp_path / "device.csv"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(OSError) as caught:
            read_csv(path)
        assert str(caught.value) == (
            f"read_csv: {path} cannot be read: it is no file but a pipe or a device. Name a file."
        )
    with pytest.raises(OSError, match=r"cannot be read: no name can hold the character NUL\. Name"):
        read_csv("a\0.csv")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,b\n", "has a header and no examples"),
        ("a\n1\n2\n", "has one column; a feature and a target are needed"),
        ("a,b,y\n1,2,0\n1,0\n", r"line 3 has 2 cells, the first line has 3"),
        ("a,y\n1,0\n\n2,1,9\n", r"line 4 has 3 cells, the first line has 2"),
        ("a,b,y\n1,2,0\n3,?,1\n", r"line 3, column 'b': '\?' is not a number\. Code it as one"),
        ("a,b,y\n1,2,0\n3,,1\n", r"line 3, column 'b': the cell is empty\. Fill it in or remove"),
        ("a,b,y\nnan,2,0\n3,4,1\n", r"line 2, column 'a': nan is no finite float32"),
        ("a,b,y\n1,2,0\n3,1e-99999999999999999999,1\n", r"'b': '1e-99999999999999999999' is not a"),
        ("a,b,y\n1,2,0\n3,-inf,1\n", r"line 3, column 'b': -inf is no finite float32"),
        ("a,b,y\n1,2,0\n3,1e60,1\n", r"line 3, column 'b': 1e60 is no finite float32"),
        ("a,y\n1,0.5\n2,\n", r"line 3, column 'y': the cell is empty"),
        ("a,y\n1,x\n2,\n", r"line 3, column 'y': the cell is empty"),
        ("a,y\n1,0.5\n2,nan\n", r"line 3, column 'y': nan is no finite float32"),
        ("a,y\n1,b\n2,b\n", r"target 'y': it is 'b' in every line; there is nothing to learn"),
        ("a,a,y\n1,2,0\n3,4,1\n", r"has two columns 'a'\. Rename one"),
        (",a,y\n0,2,0\n1,4,1\n", r"column 1 has no name\. Name it; if it only counts the lines"),
        (b"a,y\n1,\xff\xfe\n", "is no text in UTF-8"),
        ("a,y\n1," + "b" * 200_000 + "\n", r"line \d: field larger than field limit"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(csv, text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        read_csv(csv(text))
    assert "mine.csv" in str(caught.value)


def test_a_slip_among_numbers_is_not_taken_for_classes(csv):
    rows = "".join(f"{i},{i}.5\n" for i in range(40)) + "40,4o.5\n"
    with pytest.raises(
        ValueError, match=r"target 'y': it holds text, '4o\.5', but 41 different va"
    ):
        read_csv(csv("x,y\n" + rows))


def test_text_that_repeats_makes_as_many_classes_as_there_are(csv):
    path = csv("x,y\n" + "".join(f"{i},town {i % 30}\n" for i in range(60)))
    assert read_csv(path).n_classes == 30


def test_an_unknown_target_lists_the_columns(csv):
    with pytest.raises(ValueError, match=r"no column 'colour'\. Its columns are length, width, sp"):
        read_csv(csv(FLOWERS), target="colour")
    with pytest.raises(ValueError, match="no column 7"):
        read_csv(csv(FLOWERS), target=7)
