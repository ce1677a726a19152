"""The steps of a pass over single documents: what they may do, and what is refused with the document's name."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from bson import Decimal128, Int64, decode, encode
from hypothesis import given
from pydantic import BaseModel, ValidationError, model_validator

from goaime_migrate.errors import (
    IdChanged,
    InvalidResult,
    MigrationFailed,
    NotPure,
    ResultBreaksPromise,
    ResultTooLarge,
    TransformFailed,
    UndeclaredField,
    Unrepresentable,
)
from goaime_migrate.transform.chain import BatchResult, Chain
from goaime_migrate.transform.chains import replay
from goaime_migrate.transform.counts import PassCounts
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.probe import check_declared_fields
from goaime_migrate.transform.step import Step
from tests.unit.fakes import FakeReader
from tests.unit.values import FIELDS, FRAGILE, NOT_UTF8, SURVIVORS, TWICE, document, element

Document = dict[str, Any]
SOURCE = __file__


def step(transform: Callable[..., Any], version: str = "0001", **more: Any) -> Step:
    return Step(version, "c", SOURCE, transform, **more)


def chain(*steps: Step | Callable[..., Any]) -> Chain:
    listed = [s if isinstance(s, Step) else step(s, f"{i:04d}") for i, s in enumerate(steps, 1)]
    return Chain(listed, FrozenLookups("p", [lookup for s in listed for lookup in s.looked_up.values()]))


def result(
    of: Chain | Callable[..., Any], given: Document | bytes, reader: FakeReader | None = None
) -> bytes:
    """What becomes of one document."""
    data = given if isinstance(given, bytes) else encode(given)
    whole = of if isinstance(of, Chain) else chain(of)
    (after,) = whole.run(reader or FakeReader(), [data]).applied_to([data])
    return after


def refusal(of: Chain | Callable[..., Any], given: Document | bytes) -> MigrationFailed:
    with pytest.raises(MigrationFailed) as caught:
        result(of, given)
    return caught.value


def grow(d: Document) -> None:
    d["n"] += 1000


def without(name: str) -> Callable[[Document], None]:
    def remove(d: Document) -> None:
        d.pop(name, None)

    return remove


# --- results ---------------------------------------------------------------------------------------------------


def test_a_transform_may_change_its_document_in_place() -> None:
    assert result(grow, {"_id": 1, "n": 1}) == encode({"_id": 1, "n": 1001})


def test_a_transform_may_return_a_new_document() -> None:
    assert result(lambda d: {"_id": d["_id"], "m": 1}, {"_id": 1, "n": 1}) == encode({"_id": 1, "m": 1})


def test_the_id_comes_first_wherever_the_transform_puts_it() -> None:
    assert result(lambda d: {"m": 1, "_id": 1}, {"_id": 1}) == encode({"_id": 1, "m": 1})


def test_steps_see_what_those_before_them_did() -> None:
    whole = chain(grow, lambda d: d.update(twice=2 * d["n"]))
    assert result(whole, {"_id": 1, "n": 1}) == encode({"_id": 1, "n": 1001, "twice": 2002})


def test_each_step_is_counted_for_what_it_changed() -> None:
    whole = chain(lambda d: None, grow, without("x"))
    found = whole.run(FakeReader(), [encode({"_id": 1, "n": 1})])
    assert found.changed[0].touched == (False, True, False)
    assert found.counts.changed == [0, 1, 0]


def test_steps_that_undo_each_other_are_changes_that_leave_the_document() -> None:
    whole = chain(lambda d: d.update(m=1), without("m"))
    assert result(whole, {"_id": 1}) == encode({"_id": 1})


def test_an_unchanged_document_is_not_written() -> None:
    found = chain(lambda d: None).run(FakeReader(), [encode({"_id": 1})])
    assert found.changed == []
    assert found.unchanged == [encode({"_id": 1})]


def test_a_value_of_another_type_or_order_is_a_change() -> None:
    assert result(lambda d: d.update(n=1.0), {"_id": 1, "n": 1}) == encode({"_id": 1, "n": 1.0})
    swapped = result(lambda d: dict(reversed(d.items())), {"_id": 1, "a": 1, "b": 2})
    assert list(decode(swapped)) == ["_id", "b", "a"]


@given(FIELDS)
def test_types_that_a_transform_does_not_touch_stay(fields: Document) -> None:
    before = encode({"_id": 1, **fields})
    assert result(lambda d: d.update({"the new one": 1}), before) == encode(
        {"_id": 1, **fields, "the new one": 1}
    )


@pytest.mark.parametrize("odd", SURVIVORS.values(), ids=SURVIVORS)
def test_what_decoding_would_change_keeps_its_bytes(odd: bytes) -> None:
    before, after = (document(element("_id", 1), odd, element("n", n)) for n in (1, 1001))
    assert result(grow, before) == after
    assert result(lambda d: None, before) == before


@pytest.mark.parametrize("odd", FRAGILE.values(), ids=FRAGILE)
def test_a_document_that_would_lose_data_is_left_alone_where_nothing_changes(odd: bytes) -> None:
    before = document(element("_id", 1), odd)
    assert result(lambda d: None, before) == before


@pytest.mark.parametrize(
    ("odd", "reason"), [(NOT_UTF8, "it holds text that is not UTF-8"), (TWICE, "it has the same key twice")]
)
def test_a_document_that_would_lose_data_stops_the_run_where_it_has_to_change(
    odd: bytes, reason: str
) -> None:
    error = refusal(grow, document(element("_id", 7), odd, element("n", 1)))
    assert isinstance(error, Unrepresentable)
    assert error.id == 7
    assert reason in error.message


# --- refusals --------------------------------------------------------------------------------------------------


def test_a_transform_that_raises_is_named_with_document_and_own_lines() -> None:
    def broken(d: Document) -> None:
        int("x")

    error = refusal(broken, {"_id": 7})
    assert isinstance(error, TransformFailed)
    assert (error.version, error.id) == ("0001", 7)
    assert error.message.startswith("broken raised ValueError: invalid literal")
    assert 'int("x")' in error.detail
    assert "transform/chain.py" not in error.detail


def test_other_peoples_lines_are_left_out_of_the_traceback() -> None:
    error = refusal(lambda d: decode(b"x"), {"_id": 7})
    assert "bson/__init__.py" not in error.detail
    assert "decode(b" in error.detail


@pytest.mark.parametrize(
    ("raising", "field"),
    [
        (lambda d: d["missing"], "missing"),
        (lambda d: _raise(ValueError("answers.0.text: must not be empty")), "answers.0.text"),
        (lambda d: _raise(ValueError("it is what it is")), None),
    ],
)
def test_the_field_is_named_where_it_is_known(raising: Callable[[Document], Any], field: str | None) -> None:
    assert refusal(raising, {"_id": 7}).field == field


def _raise(error: BaseException) -> None:
    raise error


def test_a_transform_that_exits_fails_like_any_other() -> None:
    assert isinstance(refusal(lambda d: sys.exit(1), {"_id": 7}), TransformFailed)


ODD_EXITS = [asyncio.CancelledError("no"), GeneratorExit("no"), BaseException("no")]
"""What `except Exception` does not see."""


@pytest.mark.parametrize("error", ODD_EXITS, ids=repr)
def test_whatever_a_transform_raises_is_its_failure(error: BaseException) -> None:
    failure = refusal(lambda d: _raise(error), {"_id": 7})
    assert isinstance(failure, TransformFailed)
    assert f"raised {type(error).__name__}: no" in failure.message
    assert failure.id == 7


@pytest.mark.parametrize("error", [*ODD_EXITS, SystemExit("no")], ids=repr)
def test_whatever_a_check_raises_is_a_no(error: BaseException) -> None:
    failure = refusal(chain(step(grow, check=lambda d: _raise(error))), {"_id": 7, "n": 1})
    assert isinstance(failure, ResultBreaksPromise)
    assert failure.message.endswith("no")


def test_an_interrupt_from_the_keyboard_is_not_the_transforms() -> None:
    with pytest.raises(KeyboardInterrupt):
        result(lambda d: _raise(KeyboardInterrupt()), {"_id": 7})
    with pytest.raises(KeyboardInterrupt):
        result(chain(step(grow, check=lambda d: _raise(KeyboardInterrupt()))), {"_id": 7, "n": 1})


@pytest.mark.parametrize("wrong", [1, "x", [], (), True, False, 0, {1}])
def test_a_result_that_is_neither_none_nor_a_dict_is_refused(wrong: Any) -> None:
    error = refusal(lambda d: wrong, {"_id": 7})
    assert isinstance(error, InvalidResult)
    assert error.id == 7
    assert f"returned {type(wrong).__name__}" in error.message
    assert SOURCE in error.hint


@pytest.mark.parametrize(
    "value",
    [
        {1},
        object(),
        uuid.UUID(int=1),
        2**64,
        lambda: None,
        1j,
        {1: "x"},
        {"a\0b": 1},
        "\ud800",
        {"in": [{1}]},
    ],
    ids=lambda value: re.sub(r" at 0x[0-9a-f]+", "", repr(value)),
)
def test_a_value_that_bson_cannot_hold_is_named(value: Any) -> None:
    error = refusal(lambda d: d.update(good=1, bad=value), {"_id": 7})
    assert isinstance(error, InvalidResult)
    assert (error.id, error.field) == (7, "bad")
    assert "bad = " in error.detail


def test_a_document_that_holds_itself_is_refused() -> None:
    assert isinstance(refusal(lambda d: d.update(me=d), {"_id": 7}), InvalidResult)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(_id=8),
        lambda d: d.update(_id=1.0),
        lambda d: d.update(_id=Int64(1)),
        without("_id"),
        lambda d: {"n": 1},
        lambda d: {},
        lambda d: d.update(_id=Decimal128("1")),
    ],
)
def test_a_changed_or_removed_id_is_refused(change: Callable[[Document], Any]) -> None:
    error = refusal(change, {"_id": 1})
    assert isinstance(error, IdChanged)
    assert (error.id, error.field) == (1, "_id")


def test_an_id_document_whose_keys_change_their_order_is_changed() -> None:
    assert isinstance(refusal(lambda d: d.update(_id={"b": 2, "a": 1}), {"_id": {"a": 1, "b": 2}}), IdChanged)


def test_a_result_that_no_collection_can_hold_is_refused() -> None:
    error = refusal(lambda d: d.update(big="x" * 17_000_000), {"_id": 7})
    assert isinstance(error, ResultTooLarge)
    assert error.id == 7
    assert "16,777,216" in error.message


def test_a_result_of_just_16_mb_is_taken() -> None:
    room = 16 * 1024 * 1024 - len(encode({"_id": 1, "big": ""}))
    assert len(result(lambda d: d.update(big="x" * room), {"_id": 1})) == 16 * 1024 * 1024
    assert isinstance(refusal(lambda d: d.update(big="x" * (room + 1)), {"_id": 1}), ResultTooLarge)


# --- promises --------------------------------------------------------------------------------------------------


class Counted(BaseModel):
    """A document with a number."""

    n: int


def test_a_model_rejects_a_result_by_its_field() -> None:
    error = refusal(chain(step(lambda d: d.update(n="many"), model=Counted)), {"_id": 7})
    assert isinstance(error, ResultBreaksPromise)
    assert (error.id, error.field) == (7, "n")
    assert "breaks its promise: n: Input should be a valid integer" in error.message


def test_a_model_only_checks_and_what_it_would_coerce_is_not_written() -> None:
    whole = chain(step(lambda d: d.update(m=1), model=Counted))
    assert decode(result(whole, {"_id": 1, "n": "5"})) == {"_id": 1, "n": "5", "m": 1}


class Picky(Counted):
    """Accepts what its own method accepts."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Any:
        if obj["n"] > 9:
            raise ValidationError.from_exception_data("Picky", [])
        return super().model_validate(obj, **options)


class Deferred(BaseModel):
    """Is made complete when it is first used."""

    model_config = {"defer_build": True}
    n: int


@pytest.mark.parametrize("model", [Picky, Deferred])
def test_a_model_has_its_own_way_of_saying_no(model: type[BaseModel]) -> None:
    whole = chain(step(lambda d: d.update(m=1), model=model))
    assert decode(result(whole, {"_id": 1, "n": 9})) == {"_id": 1, "n": 9, "m": 1}
    assert isinstance(refusal(whole, {"_id": 7, "n": 10 if model is Picky else "many"}), ResultBreaksPromise)


def test_a_model_is_held_against_the_result_of_its_own_step() -> None:
    whole = chain(step(grow, model=Counted), step(without("n"), "0002"))
    assert decode(result(whole, {"_id": 1, "n": 1})) == {"_id": 1}


def test_unchanged_documents_are_held_to_the_promises_too() -> None:
    assert isinstance(refusal(chain(step(lambda d: None, model=Counted)), {"_id": 7}), ResultBreaksPromise)


@pytest.mark.parametrize(
    ("check", "field", "reason"),
    [
        (lambda d: ["n: too small"], "n", "n: too small"),
        (lambda d: _raise(ValueError("answers.0: is wrong")), "answers.0", "is wrong"),
        (lambda d: _raise(AssertionError()), None, "AssertionError"),
        (lambda d: (text for text in ["it is wrong"]), None, "it is wrong"),
    ],
)
def test_a_check_rejects_a_result(check: Callable[[Document], Any], field: str | None, reason: str) -> None:
    error = refusal(chain(step(grow, check=check)), {"_id": 7, "n": 1})
    assert isinstance(error, ResultBreaksPromise)
    assert (error.id, error.field) == (7, field)
    assert reason in error.message


def test_a_check_that_finds_nothing_lets_the_result_through() -> None:
    nothing: list[Any] = [None, [], ()]
    for found in nothing:
        assert result(chain(step(grow, check=lambda d, found=found: found)), {"_id": 1, "n": 1})


# --- lookups ---------------------------------------------------------------------------------------------------


def link(d: Document, users: Mapping[str, Document]) -> None:
    user = users.get(d["username"])
    d["user_id"] = user["_id"] if user else None
    if not user:
        warnings.warn("no such user", stacklevel=2)


LINK = step(link, lookups={"users": Lookup("users", key="username")})
CALLS = count()
USERS = FakeReader(users=[{"_id": 5, "username": "amy"}])


def test_a_document_waits_for_what_it_looks_up_and_is_transformed_once() -> None:
    found = chain(LINK).run(
        USERS, [encode({"_id": i, "username": n}) for i, n in enumerate(["amy", "bob", "amy"])]
    )
    assert [decode(c.after or b"")["user_id"] for c in found.changed] == [5, None, 5]
    assert found.counts.examined == 3


def test_an_id_that_is_too_long_is_no_example_of_a_warning() -> None:
    documents = [encode({"_id": identity, "username": "bob"}) for identity in ("x" * 100_000, "y")]
    for warning in chain(LINK).run(USERS, documents).counts.warning_counts():
        assert (warning.count, warning.examples) == (2, ("y",))


def test_a_lookup_that_depends_on_a_lookup_is_loaded_too() -> None:
    def climb(d: Document, users: Mapping[str, Document]) -> None:
        boss = users["amy"]["boss"]
        d["boss"] = users[boss]["_id"]

    reader = FakeReader(users=[{"_id": 5, "username": "amy", "boss": "eve"}, {"_id": 6, "username": "eve"}])
    whole = chain(step(climb, lookups={"users": Lookup("users", key="username")}))
    assert decode(result(whole, {"_id": 1}, reader))["boss"] == 6


def test_an_error_that_comes_of_a_lookup_not_loaded_yet_is_none() -> None:
    whole = chain(step(lambda d, users: d.update(u=users["amy"]["_id"]), lookups=dict(LINK.lookups)))
    assert decode(result(whole, {"_id": 1}, USERS))["u"] == 5


def test_a_lookup_that_finds_nothing_raises_as_a_dict_does() -> None:
    whole = chain(step(lambda d, users: users["bob"], lookups=dict(LINK.lookups)))
    error = refusal(whole, {"_id": 7})
    assert isinstance(error, TransformFailed)
    assert "raised KeyError: no key 'bob'" in error.message


def test_misuse_of_a_lookup_is_said_with_what_to_do() -> None:
    whole = chain(step(lambda d, users: d.update(n=len(users)), lookups=dict(LINK.lookups)))
    error = refusal(whole, {"_id": 7})
    assert isinstance(error, TransformFailed)
    assert "cannot be counted" in error.message
    assert ".get(key)" in error.message


# --- warnings --------------------------------------------------------------------------------------------------


def test_warnings_are_counted_by_text_with_examples() -> None:
    documents = [encode({"_id": i, "username": "bob"}) for i in range(8)]
    found = chain(LINK).run(USERS, [*documents, encode({"_id": 8, "username": "amy"})])
    (warning,) = found.counts.warning_counts()
    assert (warning.version, warning.message, warning.count) == ("0001", "no such user", 8)
    assert warning.examples == (0, 1, 2, 3, 4)


def test_warnings_name_the_version_that_warned() -> None:
    def noisy(d: Document) -> None:
        warnings.warn("odd", stacklevel=2)

    found = chain(step(lambda d: None), step(noisy, "0002")).run(FakeReader(), [encode({"_id": 1})])
    assert [w.version for w in found.counts.warning_counts()] == ["0002"]


def test_warnings_of_other_kinds_go_where_they_always_go() -> None:
    def old(d: Document) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    with pytest.warns(DeprecationWarning, match="old"):
        found = chain(old).run(FakeReader(), [encode({"_id": 1})])
    assert found.counts.warning_counts() == ()


def test_filters_that_turn_warnings_into_errors_do_not_stop_a_run() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chain(LINK).run(USERS, [encode({"_id": 1, "username": "bob"})])
    assert found.counts.warning_counts()[0].count == 1


def told(found: BatchResult) -> list[tuple[str, int, Sequence[Any]]]:
    """What is said of lookups."""
    counts = PassCounts.read(found.counts.versions, found.counts.record())
    return [(w.message, w.count, w.examples) for w in counts.warning_counts() if "lookup users=" in w.message]


def test_a_lookup_that_never_finds_anything_is_told() -> None:
    documents = [encode({"_id": i, "username": "bob"}) for i in range(7)]
    message = "the lookup users= finds nothing at all in 'users' by 'username'"
    assert told(chain(LINK).run(USERS, documents)) == [(message, 7, (0, 1, 2, 3, 4))]
    assert told(chain(LINK).run(USERS, [*documents, encode({"_id": 8, "username": "amy"})])) == []


def test_counts_of_a_lookup_add_up_whichever_part_has_found_something() -> None:
    whole = chain(LINK)
    vain, found = (
        whole.run(USERS, [encode({"_id": i, "username": name})]).counts
        for i, name in enumerate(("bob", "amy"))
    )
    for first, second in ((vain, found), (found, vain)):
        total = first.copy()
        total.add(second)
        assert [w.message for w in total.warning_counts()] == ["no such user"]
    vain.add(vain.copy())
    assert {w.count for w in vain.warning_counts()} == {2}


def test_a_lookup_into_a_collection_that_does_not_exist_is_told_even_if_nobody_asks() -> None:
    whole = chain(LINK)
    whole.tables.note_collections(["user"])
    message = "there is no collection 'users': the lookup users= finds nothing"
    assert told(whole.run(FakeReader(), [])) == [(message, 0, ())]
    assert told(whole.run(FakeReader(), [encode({"_id": 1, "username": "amy"})])) == [(message, 1, (1,))]


@pytest.mark.parametrize("whole", [False, True])
def test_several_documents_of_one_key_are_told(whole: bool) -> None:
    users = FakeReader(users=[{"_id": i, "username": "amy"} for i in (5, 6)])
    linking = chain(LINK)
    if whole:
        linking.tables.freeze_small(users, 1_000)
    documents = [encode({"_id": i, "username": name}) for i, name in enumerate(["amy", "bob", "amy"])]
    found = linking.run(users, documents)
    message = (
        "several documents of 'users' have the same 'username': "
        "the lookup users= gives the one with the smallest _id"
    )
    assert told(found) == [(message, 2, (0, 2))]
    assert [decode(c.after or b"")["user_id"] for c in found.changed] == [5, None, 5]
    users.keep(found.frozen)
    again = chain(LINK).run(users, documents[:1])
    assert told(again) == [(message, 1, (0,))]


# --- fields= ---------------------------------------------------------------------------------------------------


def declared(transform: Callable[..., Any], *fields: str, **more: Any) -> None:
    documents = [encode({"_id": i, "n": i, "name": "x", "other": 1}) for i in (1, 2)]
    check_declared_fields(chain(step(transform, fields=fields, **more)), FakeReader(), documents)


def test_fields_that_are_declared_are_taken() -> None:
    declared(grow, "n")
    declared(lambda d: d.update(m=d["n"]), "n", "m")
    declared(without("n"), "n")
    declared(lambda d: None)


@pytest.mark.parametrize(
    ("transform", "fields", "field"),
    [
        pytest.param(lambda d: d.update(m=1), ["n"], "m", id="added"),
        pytest.param(lambda d: d.update(other=2), ["n"], "other", id="changed"),
        pytest.param(without("other"), ["n"], "other", id="removed"),
        pytest.param(lambda d: d.update(n=d["other"] + d["n"]), ["n"], "other", id="read, and missed"),
        pytest.param(lambda d: d.update(n=d.get("other")), ["n"], "other", id="read, and answered otherwise"),
        pytest.param(lambda d: d.update(n="other" in d), ["n"], "other", id="asked for"),
        pytest.param(lambda d: d.setdefault("other", 3) and d.update(n=d["other"]), ["n"], "other", id="set"),
        pytest.param(lambda d: d.update(n=len(d)), ["n"], "n", id="counted"),
        pytest.param(lambda d: d.update(n=sum(1 for _ in d.items())), ["n"], "n", id="walked over"),
    ],
)
def test_a_field_that_is_not_declared_is_named(
    transform: Callable[..., Any], fields: list[str], field: str
) -> None:
    with pytest.raises(UndeclaredField) as caught:
        declared(transform, *fields)
    assert caught.value.field == field
    assert caught.value.id == 1
    assert "fields=" in caught.value.hint


@pytest.mark.parametrize(
    "transform",
    [
        lambda d: d.update(n=uuid.uuid4().hex),
        lambda d: d.update(n=random.random() < 0.5),
        lambda d: d.update(n=next(CALLS)),
    ],
    ids=["new each time", "one of two", "counts its calls"],
)
def test_fields_are_not_blamed_for_a_transform_that_is_not_pure(transform: Callable[..., Any]) -> None:
    random.seed(3)
    with pytest.raises(NotPure) as caught:
        for _ in range(100):  # until the coin has fallen differently
            declared(transform, "n")
    assert caught.value.code == "GM316"
    assert "is not pure: called again on the same document it gives something else" in caught.value.message
    assert caught.value.id in (1, 2)


def test_what_a_promise_sets_is_not_written() -> None:
    class Setting(BaseModel):
        n: int

        @model_validator(mode="before")
        @classmethod
        def set_another(cls, value: Any) -> Any:
            value["other"] = 1
            return value

    def check(d: Document) -> None:
        d["more"] = 1

    (changed,) = (
        chain(step(grow, model=Setting, check=check)).run(USERS, [encode({"_id": 1, "n": 1})]).changed
    )
    assert list(decode(changed.after or b"")) == ["_id", "n"]


def test_a_promise_about_other_fields_is_no_undeclared_use() -> None:
    class Named(BaseModel):
        name: str

    def named(d: Document) -> list[str]:
        return [] if d["name"] else ["name: is empty"]

    declared(grow, "n", model=Named, check=named)


def test_what_a_chain_refuses_is_left_out_and_no_error_hangs_on_to_another() -> None:
    handled: list[BaseException | None] = []

    def odd(d: Document) -> None:
        handled.append(sys.exc_info()[1])
        if d["_id"] % 2:
            raise ValueError

    images = [encode({"_id": n}) for n in range(8)]
    assert replay(chain(odd), FakeReader(), images) == [
        d if n % 2 == 0 else None for n, d in enumerate(images)
    ]
    assert set(handled) == {None}
