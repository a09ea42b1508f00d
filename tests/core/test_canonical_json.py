"""The byte form of a record: RFC 8785 without floats."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument_agent.core.canonical import canonical, record_hash


def test_keys_are_ordered_by_their_utf_16_units():
    """The property names of RFC 8785, section 3.2.3."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = list(json.loads(canonical(dict.fromkeys(keys, "x"))))
    assert written == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_strings_are_escaped_as_little_as_possible():
    """The string of RFC 8785, section 3.2.2."""
    text = '\u20ac$\u000f\nA\'B"\\\\"/'
    assert canonical({"string": text}) == '{"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()


def test_literals_and_nesting_have_no_white_space():
    value = {"b": [None, True, False, -1], "a": {"": {}}, "c": []}
    assert canonical(value) == b'{"a":{"":{}},"b":[null,true,false,-1],"c":[]}'


def test_text_is_utf_8_and_not_normalised():
    assert canonical({"name": "质谱仪"}) == '{"name":"质谱仪"}'.encode()
    assert canonical("\u00e9") != canonical("e\u0301")


@pytest.mark.parametrize("value", [1.5, 0.0, -0.0, 1e30, float("nan"), {"a": [{"b": 2.0}]}, ({"a": (1.0,)},)])
def test_a_float_is_refused_wherever_it_is(value: object):
    with pytest.raises(ValueError, match="floats"):
        canonical(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**30])
def test_an_integer_that_others_would_round_is_refused(value: int):
    assert canonical([2**53 - 1, -(2**53) + 1]) == b"[9007199254740991,-9007199254740991]"
    with pytest.raises(ValueError, match="exceeds"):
        canonical({"a": [value]})


@pytest.mark.parametrize("value", [{1: "a"}, {"a": b"bytes"}, {"a": "\ud800"}, {"\ud800": 1}, {"a": {1, 2}}])
def test_what_has_no_json_form_is_refused(value: object):
    with pytest.raises(ValueError, match=r"keys|unsupported|UTF-8|surrogates"):
        canonical(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.dictionaries(st.text(max_size=4), JSON, max_size=6))
def test_the_same_value_has_the_same_bytes_whatever_its_order(value: dict[str, object]):
    turned = dict(reversed(list(value.items())))
    assert canonical(turned) == canonical(value)
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)


def test_the_hash_is_that_of_the_bytes():
    assert record_hash({"b": 1, "a": "x"}) == hashlib.sha256(b'{"a":"x","b":1}').hexdigest()
