"""What a finding says to do, done to the letter: the finding is gone, and nothing is lost that need not be."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.results import Finding, Severity
from tests.integration.engines import each_mode, one_server, servers, two
from tests.world import World, succeeded

COLLATED = ", collation={'locale': 'en', 'strength': 2}"


def operations(*listed: str, code: str = "") -> str:
    return f"from datetime import datetime\nfrom goaime_migrate import *\n{code}\noperations = [{', '.join(listed)}]\n"


def found(world: World, rule: str) -> list[Finding]:
    return [finding for finding in world.plan().findings if finding.rule == rule]


def only(world: World, rule: str) -> Finding:
    (finding,) = found(world, rule)
    return finding


def ids(world: World) -> list[Any]:
    return sorted(document["_id"] for document in world.documents("c"))


def unique(keys: str = "'email'", options: str = "") -> str:
    return operations(f"CreateIndex('c', {keys}, unique=True{options})")


def second(world: World, source: str) -> None:
    """A version behind one that is still empty."""
    world.write("0001_once.py", operations())
    world.write("0002_unique.py", source)


def after_remedy(world: World, source: str, finding: Finding) -> list[Any]:
    """What is left in the collection where what a remedy spells out goes before the index, in the same file."""
    spelt = re.match(r"before it, in the same file: (DeleteDuplicates\(.*?\)), which", finding.remedy)
    assert spelt, finding.remedy
    second(world, source.replace("CreateIndex", f"{spelt[1]}, CreateIndex", 1))
    assert all(f.severity is Severity.NOTE for f in found(world, "unique-duplicates"))
    succeeded(world.up())
    left = ids(world)
    succeeded(world.down("base"))
    return left


PEOPLE = [{"_id": n, "name": f"p{n}"} for n in range(10)]
OF_INDEX: dict[str, tuple[str, list[dict[str, Any]], list[int]]] = {
    "sparse": (
        unique(options=", sparse=True"),
        [*PEOPLE, {"_id": 10, "email": "x"}, {"_id": 11, "email": "x"}, {"_id": 12, "email": None}],
        [*range(11), 12],
    ),
    "sparse, of several keys": (
        unique("[('a', 1), ('b', 1)]", ", sparse=True"),
        [
            {"_id": 1},
            {"_id": 2},
            {"_id": 3, "a": 1},
            {"_id": 4, "a": 1},
            {"_id": 5, "b": 1},
            {"_id": 6, "b": 1},
        ],
        [1, 2, 3, 5],
    ),
    "partial": (
        unique(options=", partialFilterExpression={'active': True}"),
        [{"_id": n, "email": "x", "active": n in (4, 7)} for n in range(9)],
        [0, 1, 2, 3, 4, 5, 6, 8],
    ),
    "partial, and some without a key": (
        unique(options=", partialFilterExpression={'n': {'$gt': 2}}"),
        [{"_id": n, "n": n, **({"email": "x"} if n not in (1, 6) else {})} for n in range(7)],
        [0, 1, 2, 3, 6],
    ),
    "neither": (unique(), [{"_id": n, "email": n % 2} for n in range(5)], [0, 1]),
}


@each_mode
@pytest.mark.parametrize("index", OF_INDEX)
def test_duplicates_go_of_those_alone_that_the_index_holds(world: World, index: str) -> None:
    source, documents, left = OF_INDEX[index]
    world.insert("c", documents)
    second(world, source)
    assert after_remedy(world, source, only(world, "unique-duplicates")) == left


LOWER = "def lower(d):\n    d['email'] = d['email'].lower()\n"


@each_mode
def test_duplicates_that_a_transform_makes_go_behind_it(world: World) -> None:
    world.insert("c", [{"_id": 1, "email": "X"}, {"_id": 2, "email": "x"}, {"_id": 3, "email": "y"}])
    source = operations(
        "TransformDocuments('c', lower)", "CreateIndex('c', 'email', unique=True)", code=LOWER
    )
    second(world, source)
    assert after_remedy(world, source, only(world, "unique-duplicates")) == [1, 3]


@each_mode
def test_duplicates_that_a_transform_makes_under_an_index_go_while_there_is_none(world: World) -> None:
    world.insert("c", [{"_id": 1, "email": "X"}, {"_id": 2, "email": "x"}, {"_id": 3, "email": "y"}])
    world.write("0001_unique.py", unique())
    succeeded(world.up())
    world.write("0002_lower.py", operations("TransformDocuments('c', lower)", code=LOWER))
    remedy = only(world, "unique-duplicates").remedy
    assert remedy.startswith(
        "DropIndex('c', 'email_1') before it, and behind it DeleteDuplicates('c', 'email'), which keeps the first"
    )
    assert "and then create the index again" in remedy
    listed = ("DropIndex('c', 'email_1')", "TransformDocuments('c', lower)", "DeleteDuplicates('c', 'email')")
    world.write("0002_lower.py", operations(*listed, "CreateIndex('c', 'email', unique=True)", code=LOWER))
    assert all(f.severity is Severity.NOTE for f in found(world, "unique-duplicates"))
    succeeded(world.up())
    assert ids(world) == [1, 3]


@each_mode
def test_no_remedy_deletes_too_much_where_a_filter_cannot_be_printed(world: World) -> None:
    world.insert("c", [{"_id": n, "email": "x", "at": datetime(2002, 1, 1)} for n in range(3)])
    second(world, unique(options=", partialFilterExpression={'at': {'$gte': datetime(2001, 1, 1)}}"))
    remedy = only(world, "unique-duplicates").remedy
    assert "DeleteDuplicates(" not in remedy
    assert "with the partialFilterExpression of the index as its where=" in remedy


@servers
def test_what_is_equal_by_a_collation_alone_is_no_duplicate_to_delete(world: World) -> None:
    world.insert("c", [{"_id": 1, "email": "X"}, {"_id": 2, "email": "x"}])
    second(world, unique(options=", collation={'locale': 'en', 'strength': 2}"))
    remedy = only(world, "unique-duplicates").remedy
    assert "DeleteDuplicates(" not in remedy
    assert "DeleteDuplicates compares without a collation" in remedy


@each_mode
def test_documents_whose_null_a_sparse_index_holds_lose_the_field(world: World) -> None:
    world.insert("c", [{"_id": 1, "email": None}, {"_id": 2, "email": None}, {"_id": 3}, {"_id": 4}])
    second(world, unique(options=", sparse=True"))
    finding = only(world, "unique-duplicates")
    assert finding.evidence["documents"] == 2
    assert "DeleteDuplicates" not in finding.remedy
    assert "remove the field" in finding.remedy


@each_mode
def test_documents_without_a_key_are_left_out_beside_what_the_filter_says(world: World) -> None:
    world.insert("c", [{"_id": n, "n": 1} for n in range(3)])
    second(world, unique(options=", partialFilterExpression={'n': 1}"))
    finding = only(world, "unique-duplicates")
    whole = "partialFilterExpression={'$and': [{'n': 1}, {'email': {'$exists': True}}]}"
    assert whole in finding.remedy
    second(world, unique(options=f", {whole}"))
    assert not found(world, "unique-duplicates")
    succeeded(world.up())


def of(field: str, *values: Any) -> list[dict[str, Any]]:
    return [{field: value} for value in values]


MIXED: dict[str, tuple[str, list[Any], set[tuple[str, int]]]] = {
    "arrays": (
        "'tags'",
        [{"tags": ["a", "b"]}, {"tags": ["b"]}, {"tags": []}, {"tags": []}, {}, {"tags": [None]}],
        {("b", 2), ("[]", 2), ("None", 2)},
    ),
    "arrays in arrays": (
        "'tags'",
        of("tags", [[]], [[], 1], [[1]], [[1], 2], [], None),
        {("[]", 2), ("[1]", 2)},
    ),
    "elements without it": (
        "'items.sku'",
        of("items", [{}, {"sku": 1}], [], None, [{"sku": []}], {"sku": []}, [5], [[{"sku": 1}]]),
        {("None", 5), ("[]", 2)},
    ),
    "elements that are arrays": (
        "'items.sku'",
        of("items", [{"sku": [1, 2]}], [{"sku": 2}, {"sku": 3}], {"sku": [3, 2]}),
        {("2", 3), ("3", 2)},
    ),
    "into one array together": (
        "[('a.b', 1), ('a.c', 1)]",
        [{"a": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]}, {"a": {"b": 1, "c": 4}}, {"a": [{"b": 1, "c": 4}]}],
        {("1,4", 2)},
    ),
}


@each_mode
@pytest.mark.parametrize("case", MIXED)
def test_keys_are_counted_as_the_index_would_have_them(world: World, case: str) -> None:
    keys, documents, told = MIXED[case]
    world.insert("c", [{"_id": n, **document} for n, document in enumerate(documents)])
    second(world, unique(keys))
    evidence = only(world, "unique-duplicates").evidence
    shown = {(",".join(map(str, e["key"].values())), e["documents"]) for e in evidence["examples"]}
    assert shown == told
    assert (evidence["groups"], evidence["documents"]) == (len(told), sum(n for _, n in told))
    assert evidence["complete"] is True


@two
def test_an_index_that_is_there_under_another_name_is_left_out_or_renamed(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_it.py", operations("CreateIndex('c', 'author')"))
    succeeded(world.up())
    world.write("0002_it.py", operations("CreateIndex('c', 'author', name='other')"))
    remedy = only(world, "index-conflict").remedy
    assert "leave it out" in remedy
    assert "CreateIndex(…, name='other', replaces='author_1')" in remedy
    world.write("0002_it.py", operations("CreateIndex('c', 'author', name='other', replaces='author_1')"))
    succeeded(world.up())


@two
def test_an_index_that_differs_in_an_option_may_have_another_name(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_it.py", operations("CreateIndex('c', 'a')", "CreateIndex('c', 'b', name='a_1_2')"))
    succeeded(world.up())
    world.write("0002_it.py", operations("CreateIndex('c', 'a', sparse=True)"))
    remedy = only(world, "index-conflict").remedy
    assert "CreateIndex(…, name='a_1_3') stands beside it" in remedy
    assert "CreateIndex(…, name='a_1_3', replaces='a_1')" in remedy
    for replaces in (", replaces='a_1'", ""):
        world.write("0002_it.py", operations(f"CreateIndex('c', 'a', sparse=True, name='a_1_3'{replaces})"))
        succeeded(world.up())
        succeeded(world.down())


@two
def test_one_of_the_same_keys_that_expires_replaces_the_other_under_its_own_name(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_it.py", operations("CreateIndex('c', 'at')"))
    succeeded(world.up())
    world.write("0002_it.py", operations("CreateIndex('c', 'at', name='soon', expireAfterSeconds=5)"))
    remedy = only(world, "index-conflict").remedy
    assert "CreateIndex(…, name='soon', replaces='at_1')" in remedy
    assert "beside" not in remedy
    world.write(
        "0002_it.py", operations("CreateIndex('c', 'at', name='soon', expireAfterSeconds=5, replaces='at_1')")
    )
    succeeded(world.up())


@two
def test_an_index_to_replace_that_is_not_there_is_found_and_names_its_version(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_it.py", operations("CreateIndex('c', 'a', name='new', replaces='nope')"))
    plan = world.plan()
    assert isinstance(plan.refused, errors.Refused)
    assert plan.refused.version == "0001"
    (finding,) = (f for f in plan.findings if f.rule == "index-missing")
    assert (finding.severity, finding.version) == (Severity.ERROR, "0001")
    assert "no index 'nope'" in finding.message
    error = world.up().error
    assert isinstance(error, errors.Refused)
    assert error.version == "0001"


@two
def test_what_changes_nothing_is_called_as_the_plan_calls_it(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_it.py", operations("RemoveField('c', 'q')"))
    (step,) = world.plan().steps
    (note,) = step.notes
    assert note == f"{step.operations[0].text}: none of the documents looked at changes: 1"


MEND = "def mend(d):\n    d['n'] = 1\n"


@each_mode
def test_what_the_plan_mends_afterwards_is_to_be_mended_before(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": "x"}])
    setting = "SetValidator('c', {'n': {'$type': 'number'}})"
    world.write("0001_it.py", operations(setting, "TransformDocuments('c', mend)", code=MEND))
    remedy = only(world, "validator-misfits").remedy
    assert remedy.startswith(
        "put it behind what this plan does to c later, which may mend them: transform c with mend"
    )
    assert "before it" not in remedy
    world.write("0001_it.py", operations("TransformDocuments('c', mend)", setting, code=MEND))
    assert not found(world, "validator-misfits")


@each_mode
def test_what_a_transform_makes_is_mended_between_it_and_the_validator(world: World) -> None:
    world.insert("c", [{"_id": 1, "n": 1}])
    code = "def spoil(d):\n    d['n'] = 'x'\n" + MEND
    spoiling, setting = "TransformDocuments('c', spoil)", "SetValidator('c', {'n': {'$type': 'number'}})"
    world.write("0001_it.py", operations(spoiling, setting, code=code))
    remedy = only(world, "validator-misfits").remedy
    assert remedy.startswith("mend them before it, in the same file: TransformDocuments('c', …)")
    world.write("0001_it.py", operations(spoiling, "TransformDocuments('c', mend)", setting, code=code))
    assert not found(world, "validator-misfits")


@servers
@pytest.mark.parametrize(
    ("options", "first", "second"),
    [(COLLATED, 2, 3), (", partialFilterExpression={'in': True}", 3, 4)],
)
def test_an_index_that_fails_names_two_documents_that_it_holds(
    world: World, options: str, first: int, second: int
) -> None:
    world.insert(
        "c",
        [
            {"_id": 1, "email": "z"},
            {"_id": 2, "email": "X"},
            {"_id": 3, "email": "x", "in": True},
            {"_id": 4, "email": "x", "in": True},
        ],
    )
    world.write("0001_it.py", "# allow: unique-duplicates because it is tried\n" + unique(options=options))
    error = world.up().error
    assert isinstance(error, errors.DuplicateKey)
    assert f"the documents {first} and " in error.message
    assert "x" in error.message.lower()
    assert "'email'" in error.message
    assert error.field == "email"
    assert error.id == second or options.startswith(", collation")


def made_the_same(
    world: World, options: str, change: str, where: str = "", *, allow: bool = True
) -> errors.DuplicateKey:
    """The error for a unique index that stands when a second version has documents collide in it."""
    world.write("0001_it.py", unique(options=options))
    succeeded(world.up())
    source = operations(f"TransformDocuments('c', same{where})", code=f"def same(d):\n    {change}\n")
    allowed = "# allow: unique-duplicates because it is tried\n" if allow else ""
    world.write("0002_it.py", allowed + source)
    error = world.up().error
    assert isinstance(error, errors.DuplicateKey)
    return error


@servers
def test_a_key_by_a_collation_is_named_by_its_field(world: World) -> None:
    world.insert("c", [{"_id": 1, "email": "x"}, {"_id": 2, "email": "y"}])
    error = made_the_same(world, COLLATED, "d['email'] = 'X'", ", where={'_id': 2}")
    assert error.message == "c: the documents 1 and 2 would have the same key in the unique index 'email_1'"
    assert (error.id, error.field) == (2, "email")


@one_server
def test_two_of_one_batch_that_are_the_same_by_a_collation_are_not_told_apart(world: World) -> None:
    world.insert("c", [{"_id": 1, "email": "x"}, {"_id": 2, "email": "y"}])
    error = made_the_same(world, COLLATED, "d['email'] = 'zZ'[d['_id'] - 1]", allow=False)
    assert error.message == (
        "c: the unique index 'email_1' refuses 2: another document has the same email by its collation"
    )
    assert (error.id, error.field) == (2, "email")


@servers
@pytest.mark.parametrize("collation", ["", COLLATED])
def test_a_document_that_an_index_does_not_have_is_not_named_for_its_key(
    world: World, collation: str
) -> None:
    out, taken = {"_id": 1, "email": "x"}, {"_id": 2, "email": "x", "in": True}
    world.insert("c", [out, taken, {"_id": 3, "email": "y", "in": True}])
    options = f", partialFilterExpression={{'in': True}}{collation}"
    error = made_the_same(world, options, "d['email'] = 'x'", ", where={'_id': 3}")
    assert error.message == "c: the documents 2 and 3 would have the same key in the unique index 'email_1'"
