"""Who is here, what belongs to whom, and the links that carry a key to another device."""

from __future__ import annotations

import pytest

from cka_core.base import visitors
from cka_core.base.deployment import NotAllowed
from cka_core.base.visitors import Links, Visitor

ANN, BEN = (Visitor(visitors.owner_of(visitors.new_key())) for _ in range(2))
TEACHER = Visitor(visitors.owner_of(visitors.new_key()), teacher=True)
KEY = "0123456789abcdef01234567"


@pytest.fixture
def in_class(monkeypatch):
    monkeypatch.setenv("CKA_MODE", "class")


def test_a_key_cannot_be_guessed_and_the_store_never_holds_it(store, in_class):
    key = visitors.new_key()
    assert visitors.KEY.fullmatch(key) and len(key) * 6 >= 128
    visitors.give(Visitor(visitors.owner_of(key)), KEY, store)
    assert store.names("owners") == [f"owners/{visitors.owner_of(key)}/{KEY}.json"]
    assert key not in "".join(store.names("")) + str(store.read_record(store.names("owners")[0]))
    assert visitors.owner_of("short") == visitors.owner_of("../../../../../../etc/passwd") == ""


def test_in_open_mode_everything_is_everybodys(store):
    visitors.may_change(None, KEY, store)
    visitors.give(ANN, KEY, store)
    assert store.names("owners") == []


def test_what_one_makes_is_ones_own_and_the_teachers(store, in_class):
    visitors.give(ANN, KEY, store)
    for who in (ANN, TEACHER):
        visitors.may_change(who, KEY, store)
    with pytest.raises(NotAllowed, match="not yours"):
        visitors.may_change(BEN, KEY, store)


@pytest.mark.parametrize("nobody", [None, Visitor("")])
def test_who_is_not_known_may_do_nothing(store, in_class, nobody):
    for ask in (lambda: visitors.may_act(nobody), lambda: visitors.may_change(nobody, KEY, store)):
        with pytest.raises(NotAllowed, match="not known"):
            ask()


def test_what_was_there_before_is_the_teachers(store, in_class):
    visitors.may_change(TEACHER, KEY, store)
    for key in (KEY, ""):
        with pytest.raises(NotAllowed):
            visitors.may_change(ANN, key, store)


def test_two_who_own_it_leave_one_after_the_other(store, in_class):
    visitors.give(ANN, KEY, store)
    visitors.give(BEN, KEY, store)
    assert set(visitors.owners(KEY, store)) == {ANN.owner, BEN.owner}
    assert visitors.take_off(ANN, KEY, store)
    assert visitors.owners(KEY, store) == [BEN.owner]
    assert not visitors.take_off(BEN, KEY, store) and not visitors.take_off(TEACHER, KEY, store)
    assert visitors.belongings(BEN.owner, store) == {KEY}


def test_what_others_made_too_only_the_teacher_renames(store, in_class):
    visitors.give(ANN, KEY, store)
    visitors.may_rename(ANN, KEY, store)
    visitors.give(BEN, KEY, store)  # by bringing in the same file, say
    for who in (ANN, BEN):
        with pytest.raises(NotAllowed, match="Others made this, too"):
            visitors.may_rename(who, KEY, store)
    visitors.may_rename(TEACHER, KEY, store)


@pytest.mark.parametrize("owner", ["", "../..", "." * 64, "a" * 63])
def test_no_owner_is_a_path(store, in_class, owner):
    visitors.give(ANN, KEY, store)
    assert visitors.belongings(owner, store) == set()


@pytest.mark.parametrize("who", [None, ANN, TEACHER])
def test_where_it_is_to_be_looked_at_nobody_may_do_anything(store, monkeypatch, who):
    monkeypatch.setenv("CKA_MODE", "read-only")
    for ask in (lambda: visitors.may_act(who), lambda: visitors.may_change(who, KEY, store)):
        with pytest.raises(NotAllowed, match="looked at only"):
            ask()


@pytest.mark.parametrize("key", ["../x", "", "a/b", "x" * 200])
def test_no_key_is_a_path(store, in_class, key):
    with pytest.raises(ValueError):
        visitors.give(ANN, key, store)


def test_the_teachers_key(monkeypatch):
    monkeypatch.setenv("CKA_TEACHER_KEY", "a long enough key")
    assert visitors.is_teachers_key("a long enough key")
    assert not visitors.is_teachers_key("another key, å") and not visitors.is_teachers_key("")
    monkeypatch.setenv("CKA_TEACHER_KEY", "")
    with pytest.raises(ValueError, match="make class"):
        visitors.is_teachers_key("")


# One-time links


def test_a_link_works_once():
    links, key = Links(), visitors.new_key()
    token = links.offer(key)
    assert key not in token
    assert links.take(token) == key
    assert links.take(token) is None


def test_a_link_works_for_ten_minutes():
    links, key = Links(), visitors.new_key()
    assert links.take(links.offer(key, now=0.0), now=599.0) == key
    assert links.take(links.offer(key, now=0.0), now=600.0) is None


def test_the_last_link_offered_is_the_one_that_works():
    links, key = Links(), visitors.new_key()
    first, other, second = links.offer(key), links.offer(visitors.new_key()), links.offer(key)
    assert links.take(first) is None and links.take(second) == key and links.take(other)
    assert links.take("") is None and links.take("guessed" * 6) is None
