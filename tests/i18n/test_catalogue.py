"""The Chinese catalogue is whole, and the compiled one is the same."""

import re

from babel.messages.mofile import read_mo
from sources import PO, catalogue, compiled, extracted, forms, placeholders, sentences

STALE = "run `make catalogue`, translate what is new, run it again"
# English marks right after a Chinese character look wrong to a Chinese reader.
_HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,;:!?.](?:[\s\u4e00-\u9fff]|$)")


def test_the_compiled_catalogue_is_what_compiling_the_sentences_gives():
    with PO.with_suffix(".mo").open("rb") as file:
        assert sentences(read_mo(file)) == compiled(catalogue()), STALE


def test_every_sentence_of_the_source_is_in_the_catalogue():
    found = extracted()
    missing = {found[message]: message for message in found.keys() - sentences(catalogue()).keys()}
    assert not missing, STALE
    assert len(found) > 200


def test_the_catalogue_holds_nothing_that_is_no_longer_said():
    assert not sentences(catalogue()).keys() - extracted().keys(), STALE


def test_every_sentence_is_translated():
    assert not [message for message, chinese in sentences(catalogue()).items() if not all(chinese)]


def test_no_translation_is_a_guess():
    assert not [message.id for message in catalogue() if message.id and message.fuzzy]


def test_translations_keep_the_placeholders():
    wrong = {
        said: chinese
        for said, chinese in sentences(catalogue()).items()
        # A plural may name the number where the singular says "one"; Chinese has one form, for either.
        if placeholders(chinese[0]) not in [placeholders(form) for form in said]
    }
    assert not wrong


def test_chinese_has_one_form_for_all_numbers():
    catalog = catalogue()
    assert (catalog.num_plurals, catalog.plural_expr) == (1, "0")
    assert {len(forms(message.string)) for message in catalog if message.id} == {1}


def test_chinese_is_written_with_chinese_punctuation():
    assert not [chinese for (chinese,) in sentences(catalogue()).values() if _HALF_WIDTH.search(chinese)]
