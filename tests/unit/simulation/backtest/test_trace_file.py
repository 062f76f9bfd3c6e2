"""Reading traces: names of columns, forms of time, and errors that name file, line and field."""

import gzip

import pytest

from simulation.backtest.trace_file import Reading, parsed_time, read
from surgecast.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


GOOD = "minute,requests\n1998-06-10T17:30,5\n1998-06-10T17:31,6\n1998-06-10T17:32,9\n"


@pytest.mark.parametrize("name", ["wc.csv", "wc.csv.gz"])
def test_plain_and_gzip_are_the_same(file, name):
    (trace,) = read(file(GOOD, name), Reading())
    assert (trace.name, trace.step_s, list(trace.values)) == ("wc", 60.0, [5, 6, 9])
    assert trace.at_s[0] == parsed_time("1998-06-10T17:30+00:00")


def test_each_series_is_a_trace_and_some_can_be_chosen(file):
    text = "stream,t_s,viewers,total_views\n"
    text += "".join(
        f"{s},{5 * k},{v + k},9\n" for s, v in (("s1", 10), ("s2", 20)) for k in (0, 1, 2)
    )
    path = file(text)
    assert [trace.name for trace in read(path, Reading())] == ["t:s1", "t:s2"]
    (trace,) = read(path, Reading(series=frozenset({"s2"})))
    assert list(trace.values) == [20, 21, 22]
    (first, _) = read(path, Reading(column="total_views"))
    assert list(first.values) == [9, 9, 9]


def test_the_only_other_column_needs_no_known_name(file):
    (trace,) = read(file("t_s,anything\n0,1\n1,2\n2,3\n"), Reading())
    assert list(trace.values) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "reading", "complaint"),
    [
        ("", Reading(), r"t\.csv, line 1: no column of times among nothing; allowed: t_s"),
        ("a,b\n1,2\n", Reading(), r"line 1: no column of times among a, b"),
        ("t_s,a,b\n0,1,2\n", Reading(), r"line 1: no column one of viewers.* it has t_s, a, b"),
        ("t_s,a,b\n0,1,2\n", Reading(column="c"), r"line 1: no column c; it has t_s, a, b"),
        ("t_s,viewers\n", Reading(), r"no rows"),
        ("t_s,viewers\n0,1\n", Reading(series=frozenset("x")), r"no column of series"),
        ("stream,t_s,viewers\na,0,1\n", Reading(series=frozenset("x")), r"no rows of series x"),
        ("t_s,viewers\n0,1\n1\n", Reading(), r"line 3: 1 fields; the first line names 2"),
        ("t_s,viewers\n0,1\n1,many\n", Reading(), r"line 3: viewers is 'many'; allowed: a number"),
        (
            "t_s,viewers\n0,1\n1,-4\n",
            Reading(),
            r"line 3: viewers is '-4'; allowed: a number from 0",
        ),
        ("t_s,viewers\n0,1\n1,inf\n", Reading(), r"line 3: viewers is 'inf'"),
        ("t_s,viewers\n0,1\nnoon,2\n", Reading(), r"line 3: t_s is 'noon'; allowed: seconds, or"),
        ("t_s,viewers\n0,1\nnan,2\n", Reading(), r"line 3: t_s is 'nan'"),
        (b"\xff\xfe\x00", Reading(), r"t\.csv: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(file, text, reading, complaint):
    with pytest.raises(ConfigError, match=complaint):
        read(file(text), reading)


def test_a_torn_gzip_and_a_file_that_is_not_there(file, tmp_path):
    path = file(GOOD, "t.csv.gz")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ConfigError, match="cannot be read"):
        read(path, Reading())
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.csv", Reading())


def test_an_empty_field_and_nan_are_samples_that_are_missing(file):
    rows = "".join(f"{k},{'' if k == 5 else 'NaN' if k == 9 else k}\n" for k in range(30))
    (trace,) = read(file("t_s,viewers\n" + rows), Reading())
    assert trace.values[5] == 4 and trace.values[9] == 8
    assert trace.repairs[0].count == 2 and trace.repairs[0].first == "in line 7"


def test_times():
    assert parsed_time("12.5") == 12.5
    assert parsed_time("1970-01-01T00:01:00Z") == 60
    assert parsed_time("1970-01-02") == 86_400
    assert parsed_time("1970-01-01T01:00+01:00") == 0
