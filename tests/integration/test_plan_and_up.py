"""What `plan` refuses `up` refuses too, before its first write; and what `plan` lets pass goes through."""

from __future__ import annotations

import pytest

from goaime_migrate import errors
from goaime_migrate.results import Finding, Severity
from tests.integration.engines import each_mode, one_server, servers
from tests.world import World, succeeded

HEAD = "from goaime_migrate import *\n"
FIRST = "AddField('d', 'x', 1)"


def operations(*listed: str, code: str = "") -> str:
    return f"{HEAD}{code}\noperations = [{', '.join(listed)}]\n"


def wrong(world: World) -> list[Finding]:
    """The errors that `plan` finds."""
    return [finding for finding in world.plan().findings if finding.severity is Severity.ERROR]


def refused(world: World, *rules: str) -> Finding:
    """The error that `plan` says of the second of two versions, and by which `up` does nothing at all."""
    found = wrong(world)
    assert [finding.rule for finding in found] == list(rules)
    before = world.everything()
    plan, up = world.plan(), world.up()
    assert isinstance(plan.refused, errors.Refused)
    assert type(up.error) is type(plan.refused)
    assert up.versions == ()
    assert world.everything() == before, "nothing is written, no record, no entry of the log"
    return found[0]


# one index or two

EN, EN2 = "{'locale': 'en'}", "{'locale': 'en', 'strength': 2}"
X = "CreateIndex('c', 'x'"
WILD = "CreateIndex('c', '$**'"
TEXT = "CreateIndex('c', [('x', 'text')]"


@each_mode
@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        (f"{X}, collation={EN2})", f"{X}, name='other')", True),
        (f"{X}, collation={EN2})", f"{X}, name='other', collation={EN})", True),
        (f"{X}, collation={EN2})", f"{X}, collation={EN})", False),
        (f"{X}, collation={EN})", f"{X}, collation={{'locale': 'en', 'strength': 3}})", True),
        (f"{X}, collation={{'locale': 'fr_CA'}})", f"{X}, collation={{'locale': 'fr_CA'}})", True),
        (f"{X}, collation={{'locale': 'simple'}})", f"{X})", True),
        (f"{X}, collation={{'locale': 'simple'}})", f"{X}, name='other')", False),
        (f"{X}, sparse=False)", f"{X})", True),
        (f"{X}, hidden=True)", f"{X})", True),
        (f"{X}, expireAfterSeconds=9999999)", f"{X})", False),
        (f"{X}, unique=True)", f"{X}, name='other')", True),
        (f"{X})", "CreateIndex('c', [('x', 1.0)], name='x_1')", True),
        (
            f"{X}, partialFilterExpression={{'x': 1}})",
            f"{X}, name='o', partialFilterExpression={{'x': 2}})",
            True,
        ),
        (
            f"{X}, partialFilterExpression={{'x': 1}})",
            f"{X}, name='other', partialFilterExpression={{'x': {{'$eq': 1}}}})",
            False,
        ),
        (f"{WILD}, wildcardProjection={{'x': 1}})", f"{WILD}, name='w')", True),
        (f"{WILD}, wildcardProjection={{'x': 1}})", f"{WILD})", False),
        (
            f"{WILD}, wildcardProjection={{'x': {{'y': 1}}, 'z': True}})",
            f"{WILD}, name='w', wildcardProjection={{'z': 1, 'x.y': 1}})",
            False,
        ),
        (f"{TEXT}, name='t')", f"{TEXT}, name='t')", True),
    ],
)
def test_two_indexes_are_told_apart_as_the_server_does(
    world: World, there: str, wanted: str, fits: bool
) -> None:
    world.insert("c", [{"_id": 1, "x": 1}])
    world.write("0001_there.py", operations(there))
    succeeded(world.up())
    world.write("0002_first.py", operations(FIRST))
    world.write("0003_index.py", operations(wanted))
    if not fits:
        refused(world, "index-conflict")
        return
    assert not wrong(world)
    succeeded(world.up())


@each_mode
@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (f"{X}, name='other')", False),
        (f"{X}, collation={EN2})", True),
        (f"{X}, name='o', collation={EN})", True),
    ],
)
def test_an_index_inherits_the_collation_of_its_collection(world: World, wanted: str, fits: bool) -> None:
    world.write("0001_there.py", operations(f"CreateCollection('c', collation={EN2})", f"{X})"))
    succeeded(world.up())
    world.write("0002_index.py", operations(wanted))
    assert [finding.rule for finding in wrong(world)] == ([] if fits else ["index-conflict"])
    assert (world.up().error is None) == fits


@servers
def test_a_collection_has_one_text_index(world: World) -> None:
    world.write("0001_there.py", operations(f"{TEXT}, name='t')"))
    succeeded(world.up())
    world.write("0002_first.py", operations(FIRST))
    world.write("0003_index.py", operations("CreateIndex('c', [('y', 'text')])"))
    assert "only one" in refused(world, "index-conflict").message
    world.write("0003_index.py", operations("CreateIndex('c', [('y', 'text')], replaces='t')"))
    succeeded(world.up())


@one_server
def test_an_index_takes_the_place_of_one_on_the_same_keys_where_there_are_as_many_as_may_be(
    world: World,
) -> None:
    world.write("0001_many.py", operations("*[CreateIndex('c', f'f{n}') for n in range(63)]"))
    succeeded(world.up())
    world.write("0002_beside.py", operations("CreateIndex('c', [('f1', -1)], replaces='f1_1')"))
    refused(world, "index-limit")
    world.write("0002_beside.py", operations("CreateIndex('c', 'f1', name='other', replaces='f1_1')"))
    assert not wrong(world)
    succeeded(world.up())


# views, and collections of other kinds

VIEW = "CreateCollection('v', viewOn='c', pipeline=[])"
CAPPED = "CreateCollection('v', capped=True, size=4096)"
SORTED = f"CreateCollection('v', collation={EN2})"
OF = "def of(d):\n    return [{'_id': d['_id']}]\n"
DERIVE = "DeriveDocuments('c', 'v', of)"


@each_mode
@pytest.mark.parametrize("made_by", ["an earlier run", "the same"])
@pytest.mark.parametrize(
    ("there", "operation"),
    [
        (VIEW, "AddField('v', 'n', 1)"),
        (VIEW, "CreateIndex('v', 'n')"),
        (VIEW, "DropIndex('v', 'n_1')"),
        (VIEW, "SetValidator('v', {'required': ['n']})"),
        (VIEW, "RenameCollection('v', 'w')"),
        (CAPPED, "DeleteDocuments('v', where={'n': 1})"),
        (CAPPED, DERIVE),
        (SORTED, "AddField('v', 'n', 1)"),
        (SORTED, "InsertDocuments('v', [{'_id': 1}])"),
    ],
)
def test_what_a_collection_does_not_allow(world: World, there: str, operation: str, made_by: str) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_there.py", operations(there))
    if made_by == "an earlier run":
        succeeded(world.up())
    world.write("0002_first.py", operations(FIRST))
    world.write("0003_it.py", operations(operation, code=OF))
    assert refused(world, "collection-kind").version == "0003"


@each_mode
def test_a_view_that_goes_first_is_in_nobodys_way(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_view.py", operations(VIEW))
    succeeded(world.up())
    world.write("0002_it.py", operations("DropCollection('v')", "InsertDocuments('v', [{'_id': 1}])"))
    assert not wrong(world)
    succeeded(world.up())


# what only the server knows


@one_server
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "validator",
    [
        {"$foo": 1},
        {"a": {"$foo": 1}},
        {"a": {"$type": "foo"}},
        {"a": {"$regex": "["}},
        {"$jsonSchema": {"foo": 1}},
        {"$jsonSchema": {"properties": {"a": {"bsonType": "integer"}}}},
        {"$expr": {"$foo": 1}},
    ],
    ids=str,
)
def test_a_validator_that_the_server_does_not_know(world: World, validator: object, there: bool) -> None:
    if there:
        world.insert("c", [{"_id": 1}])
    world.write("0001_first.py", operations(FIRST))
    world.write("0002_it.py", operations(f"SetValidator('c', {validator!r})"))
    refused(world, "validator-invalid")
    world.write("0002_it.py", operations(f"CreateCollection('e', validator={validator!r})"))
    refused(world, "validator-invalid")


@one_server
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
@pytest.mark.parametrize(
    "operation",
    [
        "AddField('c', 'y', 1, where={'$foo': 1})",
        "TransformDocuments('c', keep, where={'a': {'$foo': 1}})",
        "DeleteDocuments('c', where={'a': {'$type': 'foo'}})",
        "UpdateDocuments('c', [{'$set': {'q': {'$foo': 1}}}])",
        "TransformDocuments('c', keep, found=Lookup('c', key='a', where={'$expr': {'$foo': 1}}))",
        "TransformDocuments('c', keep, found=Lookup('c', key='a', pipeline=[{'$foo': 1}]))",
    ],
)
def test_a_query_that_the_server_does_not_know(world: World, operation: str, there: bool) -> None:
    if there:
        world.insert("c", [{"_id": 1}])
    world.write("0001_first.py", operations(FIRST if there else "CreateCollection('c')"))
    world.write("0002_it.py", operations(operation, code="def keep(d, **_): pass"))
    assert refused(world, "query-invalid").remedy == "correct it"


@one_server
@pytest.mark.parametrize(
    "stage", [{"$foo": 1}, {"$project": {"a": {"$foo": 1}}}, {"$match": {"$foo": 1}}], ids=str
)
def test_a_view_that_the_server_does_not_know(world: World, stage: object) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_first.py", operations(FIRST))
    world.write("0002_it.py", operations(f"CreateCollection('v', viewOn='c', pipeline=[{stage!r}])"))
    refused(world, "view-invalid")
    group = {"$group": {"_id": None, "n": {"$sum": 1}}}
    world.write("0002_it.py", operations(f"CreateCollection('v', viewOn='c', pipeline=[{group!r}])"))
    assert not wrong(world)
    succeeded(world.up())


@each_mode
@pytest.mark.parametrize(
    "operation",
    [
        "CreateCollection(LONG)",
        "RenameCollection('c', LONG)",
        "CreateIndex(LONG, 'x')",
        "InsertDocuments(LONG, [{'_id': 1}])",
    ],
)
def test_a_name_that_is_too_long(world: World, operation: str) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_first.py", operations(FIRST))
    longest = 255 - len(world.database) - 1
    world.write("0002_it.py", operations(operation, code=f"LONG = 'x' * {longest + 1}"))
    refused(world, "name-too-long")
    if not world.embedded:  # whose files have names of their own
        world.write("0002_it.py", operations(operation, code=f"LONG = 'x' * {longest}"))
        assert not wrong(world)
        succeeded(world.up())


@servers
def test_a_name_that_is_too_long_to_be_kept_aside(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write("0001_first.py", operations("RenameCollection('c', 'x' * 225)"))
    succeeded(world.up())
    world.write("0002_it.py", operations("DropCollection('x' * 225)"))
    refused(world, "name-too-long")


# a canary


@each_mode
def test_a_canary_beside_an_unfinished_one_is_refused_by_both(world: World) -> None:
    world.insert("c", [{"_id": n, "n": n % 2} for n in range(4)])
    world.write("0001_first.py", operations("AddField('c', 'x', 1)"))
    succeeded(world.up(where={"n": 0}))
    for where in ({"n": 1}, {"n": 0}):
        plan, up = world.plan(where=where), world.up(where=where)
        for error in (plan.refused, up.error):
            assert isinstance(error, errors.Refused)
            assert "an unfinished pass is in the way of a canary" in error.message
    succeeded(world.up())


# what is said is true


def said(world: World, rule: str) -> Finding:
    (found,) = [finding for finding in world.plan().findings if finding.rule == rule]
    return found


LOWER = "def lower(d):\n    d['email'] = d['email'].lower()\n"
FAILS = "def fails(d):\n    d['n'] = 1 / d['n']\n"


@each_mode
@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (f"collation={EN2}", LOWER, "a collation, by which only the server compares"),
        ("", FAILS, "a document stops the pass before it"),
    ],
)
def test_why_a_unique_index_cannot_be_foreseen(world: World, options: str, code: str, why: str) -> None:
    world.insert("c", [{"_id": n, "email": f"a{n}", "n": n} for n in range(3)])
    index = f"CreateIndex('c', 'email', unique=True, {options})"
    function = code[4 : code.index("(")]
    world.write("0001_it.py", operations(f"TransformDocuments('c', {function})", index, code=code))
    found = said(world, "unique-duplicates")
    assert found.severity is Severity.NOTE
    assert found.message.endswith(why)


@one_server
def test_what_was_refused_before_leaves_the_rest_unseen(world: World) -> None:
    for name in ("c", "d"):
        world.insert(name, [{"_id": n, "n": n} for n in range(3)])
    world.write("0001_fails.py", operations("TransformDocuments('d', fails)", code=FAILS))
    world.write("0002_add.py", operations("AddField('c', 'x', 1)", "SetValidator('c', {'required': ['x']})"))
    assert said(world, "validator-misfits").message.endswith("what comes before it would be refused")


@each_mode
@pytest.mark.parametrize(
    ("level", "action", "severity", "advice"),
    [
        ("strict", "error", Severity.WARNING, True),
        ("moderate", "error", Severity.NOTE, False),
        ("strict", "warn", Severity.NOTE, False),
    ],
)
def test_a_validator_that_is_moderate_already_is_not_advised_to_be(
    world: World, level: str, action: str, severity: Severity, advice: bool
) -> None:
    world.insert("c", [{"_id": n, "n": n} for n in range(4)])
    setting = f"SetValidator('c', {{'$and': [{{'n': {{'$lt': 2}}}}]}}, level={level!r}, action={action!r})"
    world.write("0001_it.py", operations(setting))
    found = said(world, "validator-misfits")
    assert (found.severity, found.evidence["documents"]) == (severity, 2)
    assert ("moderate" in found.remedy) == advice


@each_mode
def test_documents_that_are_deleted_afterwards_are_no_misfits(world: World) -> None:
    world.insert("c", [{"_id": n, "n": n} for n in range(4)])
    setting = "SetValidator('c', {'$and': [{'n': {'$lt': 2}}]})"
    world.write("0001_it.py", operations(setting, "DeleteDocuments('c', where={'n': 3})"))
    assert said(world, "validator-misfits").evidence["ids"] == [2]
    world.write("0001_it.py", operations("DeleteDocuments('c', where={'n': 3})", setting))
    assert said(world, "validator-misfits").evidence["ids"] == [2]


@each_mode
def test_an_index_on_values_of_two_types_is_told_though_nothing_changes_them(world: World) -> None:
    world.insert(
        "c", [{"_id": 1, "n": 1}, {"_id": 2, "n": "a"}, {"_id": 3, "n": 2}, {"_id": 4, "m": [1, 2.0]}]
    )
    world.write("0001_it.py", operations("CreateIndex('c', 'n')", "CreateIndex('c', 'm')"))
    found = said(world, "mixed-types")
    assert found.message == "n of c has several types: 2 number, 1 string"
    assert found.evidence["types"] == {"number": 2, "string": 1}


@each_mode
def test_a_result_that_no_server_stores_is_a_finding(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    world.write(
        "0001_grow.py",
        operations("TransformDocuments('c', grow)", code="def grow(d):\n    d['x'] = 'x' * 17_000_000\n"),
    )
    plan = world.plan()
    assert isinstance(plan.refused, errors.WouldFail)
    assert [finding.rule for finding in wrong(world)] == ["result-size"]


@each_mode
def test_an_index_that_could_not_be_made_is_refused_until_its_duplicates_are_gone(world: World) -> None:
    world.insert("c", [{"_id": 1, "x": 1}])
    world.write("0001_plain.py", "def up(db):\n    db.c.insert_one({'_id': 2, 'x': 1})\n")
    world.write("0002_index.py", operations("CreateIndex('c', 'x', unique=True)"))
    assert isinstance(world.up().error, errors.DuplicateKey)
    (found,) = wrong(world)
    assert (found.rule, found.evidence["examples"][0]["ids"]) == ("unique-duplicates", [1, 2])
    assert isinstance(world.up().error, errors.Refused)
    world.remove("c", 2)
    assert not wrong(world)
    succeeded(world.up())
