"""Updates said with operators, or with a pipeline: a server makes the very bytes of them that were meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from bson import Int64, Timestamp, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Sweep, Write
from goaime_migrate.backends.server import updates
from goaime_migrate.backends.server.operators import operators_for
from goaime_migrate.transform import projection
from tests.integration.engines import one_server
from tests.unit.values import FRAGILE, SURVIVORS, VALUES, element
from tests.world import World, succeeded

pytestmark = one_server

NAMES = ("b", "a", "c", "B", "10", "9", "é", "a$", "x y")
OTHERS = st.dictionaries(st.sampled_from(["p", "q", "r"]), VALUES, max_size=3)
DECLARED = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES))


class Case(NamedTuple):
    """A document, and what becomes of the fields that were declared."""

    whole: dict[str, Any]
    after: dict[str, Any]

    @property
    def identity(self) -> Any:
        return self.whole["_id"]

    def write(self) -> Write:
        before = {name: value for name, value in self.whole.items() if name in ("_id", *NAMES)}
        raw = encode({"_id": self.identity})
        return Write(raw, encode(before), encode({"_id": self.identity, **self.after}), partial=True)

    def result(self) -> bytes:
        """In their places those that stay, behind all others what is new."""
        kept = [name for name in self.whole if name not in NAMES or name in self.after]
        new = [name for name in self.after if name not in self.whole]
        return encode({name: self.after.get(name, self.whole.get(name)) for name in [*kept, *new]})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    before = draw(DECLARED)
    fields = [*draw(OTHERS).items(), *before.items()]
    whole = {"_id": 0, **dict(draw(st.permutations(fields)))}
    changed = draw(DECLARED)
    kept = {name: changed.pop(name, value) for name, value in whole.items() if name in before}
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=2)):
        kept.pop(name, None)
        changed.pop(name, None)
    return Case(whole, {**kept, **changed})


def updated(world: World, given_cases: Sequence[Case]) -> tuple[list[bytes], list[Any]]:
    """What a server has made of them, and how it was said."""
    numbered = [case._replace(whole={**case.whole, "_id": n}) for n, case in enumerate(given_cases)]
    with world.client() as client:
        database = client[world.database]
        database.drop_collection("c")
        world.insert("c", [encode(case.whole) for case in numbered])
        statements = [updates.update(case.write(), guard=False) for case in numbered]
        changing = [each for each in statements if each["u"]]
        if changing:
            assert database.command({"update": "c", "updates": changing})["n"] == len(changing)
    return list(world.raws("c").values()), [each["u"] for each in statements]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_cases=st.lists(cases(), min_size=1, max_size=20))
def test_the_bytes_are_those_that_were_meant(world: World, given_cases: list[Case]) -> None:
    found, _ = updated(world, given_cases)
    wanted = [case._replace(whole={**case.whole, "_id": n}).result() for n, case in enumerate(given_cases)]
    assert found == wanted


@pytest.mark.parametrize(
    ("before", "after", "piped"),
    [
        ({}, {"a": 2}, False),
        ({"b": 2}, {"b": 2, "a": 1}, False),
        ({}, {"a": 1, "b": Int64(2)}, False),
        ({}, {"b": 1, "a": 2}, True),
        ({"b": 0}, {"b": 1, "a": 2}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1, "b": 2}, {"b": 2}, True),
        ({}, {"10": 1, "9": 1}, True),
        ({}, {"9": 1}, False),
        ({}, {"a": "costs $5"}, True),
        ({}, {"a": {"$b": 1}}, True),
        ({}, {"a": Timestamp(0, 0)}, True),
    ],
)
def test_a_pipeline_says_what_operators_do_not(
    world: World, before: dict[str, Any], after: dict[str, Any], piped: bool
) -> None:
    case = Case({"_id": 0, "p": 0, **before}, after)
    found, said = updated(world, [case])
    assert found == [case.result()]
    assert [isinstance(each, list) for each in said] == [piped]


ODD_KEYS = b"\x04k\0" + raw_bson.join([element("7", 1), element("b", [2])])
TWICE_WITHIN = b"\x03k\0" + raw_bson.join([element("a", 1), element("a", 2)])
WHOLE = st.dictionaries(st.sampled_from((*NAMES, "n", "a.b", "$c", "")), VALUES, max_size=5)


def replaced(world: World, pairs: Sequence[tuple[bytes, bytes]]) -> list[Any]:
    """How it was said that these documents become others; they are held to that they do."""
    writes = [Write(raw_bson.id_of(before), before, after) for before, after in pairs]
    statements = [updates.update(write, guard=False) for write in writes]
    with world.client() as client:
        database = client[world.database]
        database.drop_collection("c")
        world.insert("c", [before for before, _ in pairs])
        assert database.command({"update": "c", "updates": statements})["n"] == len(pairs)
    assert list(world.raws("c").values()) == [after for _, after in pairs]
    return [each["u"] for each in statements]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.tuples(WHOLE, WHOLE, WHOLE), min_size=1, max_size=20))
def test_whole_documents_become_what_was_meant(world: World, drawn: Sequence[Any]) -> None:
    pairs = []
    for n, (first, more, other) in enumerate(drawn):
        shorter, longer, another = {"_id": n, **first}, {"_id": n, **first, **more}, {"_id": n, **other}
        two = [(shorter, longer), (longer, shorter), (longer, another)][n % 3]
        pairs.append((encode(two[0]), encode(two[1])))
    replaced(world, pairs)


@pytest.mark.parametrize(
    ("more", "by_operators"),
    [
        ([element("a", 1)], True),
        ([element("a", 1), element("b", [{"c": 1}])], True),
        ([element("b", 1), element("a", 1)], False),
        ([element("x", 1)], False),
        ([element("a", 1), element("a", 2)], False),
        ([element("a", Timestamp(0, 0))], False),
        ([], False),
    ],
)
def test_what_comes_at_the_end_of_a_document_is_not_sent_with_it(
    world: World, more: list[bytes], by_operators: bool
) -> None:
    before = [element("_id", 0), element("n", {"x": 1}), element("z", 1), element("z", 2)]
    (said,) = replaced(world, [(raw_bson.join(before), raw_bson.join([*before, *more]))])
    assert (not isinstance(said, list) and b"$set" in said.raw) is by_operators


@pytest.mark.parametrize("odd", [*SURVIVORS.values(), *FRAGILE.values(), ODD_KEYS, TWICE_WITHIN])
def test_odd_values_that_come_at_the_end_are_what_they_are(world: World, odd: bytes) -> None:
    shorter = [element("_id", 0), element("n", 1)]
    longer = [element("_id", 1), element("n", 1), odd]
    replaced(
        world,
        [
            (raw_bson.join(shorter), raw_bson.join([*shorter, odd])),
            (raw_bson.join(longer), raw_bson.join(longer[:-1])),
        ],
    )


@pytest.mark.parametrize(
    ("less", "by_operators"),
    [
        ([element("a", 1)], True),
        ([element("b", 1), element("a", 1)], True),
        ([element("x", 1)], False),
        ([element("a", 1), element("a", 2)], False),
    ],
)
def test_what_goes_from_the_end_of_a_document_is_named(
    world: World, less: list[bytes], by_operators: bool
) -> None:
    after = [element("_id", 0), element("n", {"x": 1})]
    (said,) = replaced(world, [(raw_bson.join([*after, *less]), raw_bson.join(after))])
    assert (b"$unset" in said.raw) is by_operators


@pytest.mark.parametrize(
    ("stages", "piped"),
    [
        ([{"$set": {"a": {"$literal": {"b": 1}}}}], False),
        ([{"$set": {"a": 5}}], False),
        ([{"$set": {"a": {"b": 1}}}], True),
        ([{"$set": {"a": "$n"}}], True),
        ([{"$set": {"n.m": 5}}], True),
        ([{"$set": {"y": 1, "x": 2}}], True),
        ([{"$set": {"x": 1, "y": 2}}], False),
        ([{"$unset": "n"}, {"$unset": ["m", "a"]}], False),
        ([{"$unset": "n"}, {"$set": {"a": None}}], False),
        ([{"$set": {"a": 1}}, {"$unset": "a"}], True),
        ([{"$unset": "m.k"}], True),
        ([{"$replaceWith": {"_id": "$_id"}}], True),
        ([{"$project": {"n": 1}}], True),
    ],
)
def test_a_range_becomes_what_its_stages_make(
    world: World, stages: list[dict[str, Any]], piped: bool
) -> None:
    assert (operators_for(stages) is None) is piped
    documents = [{"_id": i, "n": i, "m": {"k": 1}, **({"a": [i]} if i % 2 else {})} for i in range(4)]
    with world.client() as client:
        database = client[world.database]
        for name in ("c", "d"):
            world.insert(name, documents)
        changed = database.d.update_many({}, stages).modified_count
        with client.start_session() as session, session.start_transaction():
            sweep = Sweep(None, None, None, stages, len(documents), changed, once=True)
            updates.sweep(database, "c", sweep, session)
    assert world.raws("c") == world.raws("d")


def test_a_pipeline_may_hold_code(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write(
        "0001_code.py",
        """
        from bson import Code
        from goaime_migrate import UpdateDocuments

        operations = [UpdateDocuments("c", [{"$set": {"f": {"$literal": Code("g", {})}}}])]
        """,
    )
    assert succeeded(world.up()).documents.changed == 1
    assert not succeeded(world.down()).conflicts
    assert world.documents("c") == [{"_id": 1}]


UPDATE = """
    from goaime_migrate import UpdateDocuments

    operations = [UpdateDocuments("c", {stages!r})]
    """
TRANSFORM = 'TransformDocuments("c", lambda d: d.update(k=d["k"] + 100), fields=["k"])'
CONSTANT = [[{"$set": {"k": 3}}], [{"$set": {"z": 3, "k": 1}}], [{"$unset": "k"}]]


@pytest.fixture
def twice(world: World) -> World:
    """Fifty documents, one of which has a field twice."""
    world.settings["batch_size"] = 20
    world.insert("c", [{"_id": n, "k": n} for n in range(50)])
    world.insert(
        "c", [raw_bson.join([element("_id", 7.5), element("k", 1), element("p", 0), element("k", 2)])]
    )
    return world


@pytest.mark.since("6.0")
@pytest.mark.parametrize("stages", CONSTANT)
def test_a_field_that_stands_twice_comes_back_twice(twice: World, stages: list[dict[str, Any]]) -> None:
    before = twice.raws("c")
    twice.write("0001_it.py", UPDATE.format(stages=stages))
    succeeded(twice.up())
    assert not succeeded(twice.down()).conflicts
    assert twice.raws("c") == before


@pytest.mark.since("6.0")
@pytest.mark.parametrize("operation", ['UpdateDocuments("c", [{"$set": {"k": 3}}])', TRANSFORM])
def test_where_fields_alone_are_carried_it_stops_the_run(
    twice: World, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "FROM", 1)
    before = twice.raws("c")
    twice.write("0001_it.py", f"from goaime_migrate import *\noperations = [{operation}]\n")
    error = twice.up().error
    assert isinstance(error, errors.Unrepresentable)
    assert error.id == 7.5
    succeeded(twice.down("base"))
    assert twice.raws("c") == before
