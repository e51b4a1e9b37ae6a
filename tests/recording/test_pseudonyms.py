"""What stands for what: the form is kept, nothing collides, nothing can be told from it without the key."""

from __future__ import annotations

import re

import pytest

from graphkit.recording.pseudonyms import Pseudonyms, is_pseudonym

KEY = b"k" * 32


@pytest.fixture
def pseudonyms():
    return Pseudonyms(kept={"pool", "spe_e3"}, guids={"05e9a617-0261-4cee-bb44-138d3ef5d965"}, key=KEY)


def form(word):
    return "".join("9" if mark.isdigit() else "A" if mark.isupper() else "a" for mark in word)


@pytest.mark.parametrize("word", ["a", "RX1", "0001", "anna", "Anna", "McDonald", "x" * 150])
def test_a_word_keeps_its_form_and_is_another(pseudonyms, word):
    assert form(pseudonyms.word(word)) == form(word)


def test_all_words_of_one_form_have_pseudonyms_of_their_own(pseudonyms):
    words = [f"{number:03}" for number in range(1000)]
    assert sorted(pseudonyms.word(word) for word in words) == words


def test_case_and_accents_are_those_of_the_word_and_make_no_other(pseudonyms):
    assert pseudonyms.word("RX1").lower() == pseudonyms.word("rx1")
    assert pseudonyms.word("Müller").lower() == pseudonyms.word("muller")


def test_what_is_kept_is_nobody_elses_pseudonym(pseudonyms):
    letters = "abcdefghijklmnopqrstuvwxyz"
    two = Pseudonyms(kept={"it", "no"}, key=KEY)
    made = {two.word(first + second) for first in letters for second in letters if first + second not in two.kept}
    assert len(made) == 26 * 26 - 2
    assert not made & two.kept
    assert pseudonyms.word("Pool") == "Pool"


@pytest.mark.parametrize("word", ["Ελένη", "李", "Straße"])
def test_words_of_other_alphabets_become_letters_alike_each_time(pseudonyms, word):
    assert re.fullmatch("[A-Za-z]{6,}", pseudonyms.word(word))
    assert pseudonyms.word(word) == pseudonyms.word(word)


def test_an_id_stays_an_id_and_can_be_told_from_a_real_one(pseudonyms):
    real = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    made = pseudonyms.guid(real)
    assert is_pseudonym(made)
    assert not is_pseudonym(real)
    assert pseudonyms.guid(real.upper()) == made.upper()
    assert pseudonyms.guid(real.replace("-", "")) == made.replace("-", "")


@pytest.mark.parametrize(
    "public",
    [
        "05e9a617-0261-4cee-bb44-138d3ef5d965",
        "00000000-0000-0000-0000-000000000002",
        "00000003-0000-0000-c000-000000000000",
    ],
)
def test_ids_that_are_the_same_everywhere_stay(pseudonyms, public):
    assert pseudonyms.guid(public) == public


@pytest.mark.parametrize("number", ["+44 20 7946 0123", "(020) 7946-0123", "07700 900123"])
def test_a_telephone_number_keeps_its_looks_and_rings_nowhere(pseudonyms, number):
    made = pseudonyms.phone(number)
    assert re.sub(r"\d", "0", made) == re.sub(r"\d", "0", number)
    assert re.sub(r"\D", "", made).startswith("999")


@pytest.mark.parametrize(
    ("network", "looks"),
    [
        ("203.0.113.0/24", r"203\.\d+\.\d+\.0/24"),
        ("10.1.0.0/16", r"10\.\d+\.0\.0/16"),
        ("51.140.3.17", r"\d+\.\d+\.\d+\.\d+"),
        ("2001:db8:1::/48", r"2001:[0-9a-f:]+/48"),
    ],
)
def test_a_network_stays_a_network_of_its_size(pseudonyms, network, looks):
    import ipaddress

    made = pseudonyms.network(network)
    assert re.fullmatch(looks, made)
    assert made != network
    ipaddress.ip_network(made)  # strict: no bit of a host is set


def test_another_key_makes_other_pseudonyms_and_none_is_ever_given_twice():
    ours, theirs = Pseudonyms(), Pseudonyms()
    assert ours.word("annasmith") != theirs.word("annasmith")
    assert ours.guid("3f2504e0-4f89-41d3-9a0c-0305e82c3301") != theirs.guid("3f2504e0-4f89-41d3-9a0c-0305e82c3301")
