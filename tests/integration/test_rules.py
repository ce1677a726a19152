"""What `plan` says of a database before anything is done to it: each rule where it has to speak, and where it has not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from goaime_migrate import errors
from goaime_migrate.results import Finding, Severity
from tests.integration.engines import each_mode, servers
from tests.world import World, succeeded

HEAD = "from datetime import datetime\nfrom goaime_migrate import *\n"
OLD = datetime(2001, 1, 1)
NEW = datetime.now() + timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """What is there, what was applied to it, and what is to be planned."""

    rule: str
    says: Severity | None
    plan: str
    documents: Sequence[dict[str, Any]] = ()
    first: str = ""
    others: dict[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    check: Callable[[Finding], Any] = lambda _: True
    dump: Severity | None = None
    """What it says of a dump, where that does not hold it against anybody."""


def operations(*listed: str, code: str = "") -> str:
    return f"{HEAD}{code}\noperations = [{', '.join(listed)}]\n"


def people(*emails: Any) -> list[dict[str, Any]]:
    return [{"_id": n, "email": email, "n": n} for n, email in enumerate(emails)]


UNIQUE = "CreateIndex('c', 'email', unique=True)"
LOWER = "def lower(d):\n    d['email'] = d['email'].lower()\n"
APART = "def apart(d):\n    d['email'] = f\"{d['_id']}.{d['email']}\"\n"
UP_ONE = "def more(d):\n    d['n'] += 1\n"
TEXT = "def text(d):\n    d['n'] = str(d['n'])\n"
HALF = "def half(d):\n    d['n'] = str(d['n']) if d['_id'] % 2 else d['n']\n"
AGE = "def age(d):\n    d['at'] = datetime(2001, 1, 1)\n"
OF = "def of(d):\n    return [{'_id': d['_id'], 'email': d['email']}]\n"
LOOK = "def look(d, others):\n    d['found'] = others.get(d['n'], {}).get('x')\n"
STRICT = "SetValidator('c', {'$or': [{'n': {'$lt': 3}}, {'n': {'$gte': 'a'}}]})"
ERROR, WARNING, NOTE = Severity

CASES = {
    "duplicates that are there": Case(
        "unique-duplicates",
        ERROR,
        operations(UNIQUE),
        people("a", "b", "a", "b", "a", "c"),
        check=lambda f: (
            f.evidence["groups"] == 2
            and f.evidence["documents"] == 5
            and f.evidence["examples"][0]["key"] == {"email": "a"}
            and set(f.evidence["examples"][0]["ids"]) <= {0, 2, 4}
            and "DeleteDuplicates('c', 'email')" in f.remedy
        ),
    ),
    "no duplicates": Case("unique-duplicates", None, operations(UNIQUE), people("a", "b", 1, None)),
    "an index that is not unique": Case(
        "unique-duplicates", None, operations("CreateIndex('c', 'email')"), people("a", "a")
    ),
    "numbers are equal by value": Case("unique-duplicates", ERROR, operations(UNIQUE), people(1, 1.0)),
    "an element of an array": Case(
        "unique-duplicates", ERROR, operations(UNIQUE), people(["a", "b"], ["c", "b"])
    ),
    "twice in one document is once": Case(
        "unique-duplicates", None, operations(UNIQUE), people(["a", "a"], ["c"])
    ),
    "an empty array is not null": Case("unique-duplicates", None, operations(UNIQUE), people([], None)),
    "what is absent counts as null": Case(
        "unique-duplicates",
        ERROR,
        operations(UNIQUE),
        [{"_id": 1}, {"_id": 2, "email": None}, {"_id": 3}],
        check=lambda f: "partialFilterExpression" in f.remedy,
    ),
    "duplicates, and documents without a key": Case(
        "unique-duplicates",
        ERROR,
        operations(UNIQUE),
        [{"_id": 1}, {"_id": 2}, {"_id": 3, "email": "a"}, {"_id": 4, "email": "a"}],
        check=lambda f: (
            "partialFilterExpression" in f.remedy
            and "DeleteDuplicates('c', 'email', where={'email': {'$ne': None}})" in f.remedy
        ),
    ),
    "a sparse index leaves out what is absent": Case(
        "unique-duplicates", None, operations(UNIQUE[:-1] + ", sparse=True)"), [{"_id": 1}, {"_id": 2}]
    ),
    "a partial index looks at some": Case(
        "unique-duplicates",
        None,
        operations(UNIQUE[:-1] + ", partialFilterExpression={'n': {'$gt': 1}})"),
        people("a", "a", "b"),
    ),
    "two fields": Case(
        "unique-duplicates",
        None,
        operations("CreateIndex('c', [('email', 1), ('n', 1)], unique=True)"),
        people("a", "a"),
    ),
    "nested in an array of documents": Case(
        "unique-duplicates",
        ERROR,
        operations("CreateIndex('c', 'items.sku', unique=True)"),
        [{"_id": 1, "items": [{"sku": "x"}, {"sku": "y"}]}, {"_id": 2, "items": [{"sku": "y"}]}],
    ),
    "duplicates that a transform makes": Case(
        "unique-duplicates",
        ERROR,
        operations("TransformDocuments('c', lower)", UNIQUE, code=LOWER),
        people("A", "a", "b"),
    ),
    "duplicates that a transform removes": Case(
        "unique-duplicates",
        None,
        operations("TransformDocuments('c', apart)", UNIQUE, code=APART),
        people("a", "a", "b"),
    ),
    "duplicates in an index that is there": Case(
        "unique-duplicates",
        ERROR,
        operations("TransformDocuments('c', lower)", code=LOWER),
        people("A", "a", "b"),
        first=operations(UNIQUE),
    ),
    "an index that a version before it drops": Case(
        "unique-duplicates",
        None,
        operations("DropIndex('c', 'email_1')", "TransformDocuments('c', lower)", code=LOWER),
        people("A", "a", "b"),
        first=operations(UNIQUE),
    ),
    "a key that is still taken while the pass runs": Case(
        "unique-duplicates",
        ERROR,
        operations("TransformDocuments('c', more)", code=UP_ONE),
        people("a", "b", "c"),
        first=operations("CreateIndex('c', 'n', unique=True)"),
        check=lambda f: [0, 1] in f.evidence["pairs"],
    ),
    "of some documents, beside the others": Case(
        "unique-duplicates",
        ERROR,
        operations("TransformDocuments('c', lower, where={'n': 0})", UNIQUE, code=LOWER),
        people("A", "a", "b"),
    ),
    "a collection that is renamed on the way": Case(
        "unique-duplicates",
        ERROR,
        operations("RenameCollection('c', 'd')", "CreateIndex('d', 'email', unique=True)"),
        people("a", "a"),
    ),
    "a collection that is not there yet": Case(
        "unique-duplicates", None, operations("CreateIndex('new', 'email', unique=True)")
    ),
    "names that mean something to the server": Case(
        "unique-duplicates",
        ERROR,
        operations("CreateIndex('c', 'a$b.c d', unique=True)"),
        [{"_id": 1, "a$b": {"c d": {"::error": 1}}}, {"_id": 2, "a$b": {"c d": {"::error": 1}}}],
    ),
    "duplicates that go before": Case(
        "unique-duplicates",
        None,
        operations("DeleteDuplicates('c', 'email')", UNIQUE),
        people("a", "b", "a", None, None),
    ),
    "duplicates that go by a filter": Case(
        "unique-duplicates",
        None,
        operations("DeleteDocuments('c', where={'n': 2})", UNIQUE),
        people("a", "b", "a"),
    ),
    "duplicates that a filter leaves": Case(
        "unique-duplicates",
        ERROR,
        operations("DeleteDocuments('c', where={'n': 1})", UNIQUE),
        people("a", "b", "a"),
    ),
    "a document that comes in": Case(
        "unique-duplicates",
        ERROR,
        operations("InsertDocuments('c', [{'_id': 9, 'email': 'b'}])"),
        people("a", "b"),
        first=operations(UNIQUE),
    ),
    "a document that differs comes in": Case(
        "unique-duplicates",
        None,
        operations("InsertDocuments('c', [{'_id': 9, 'email': 'c'}])"),
        people("a", "b"),
        first=operations(UNIQUE),
    ),
    "derived into a collection of their own": Case(
        "unique-duplicates",
        ERROR,
        operations("DeriveDocuments('c', 'd', of)", "CreateIndex('d', 'email', unique=True)", code=OF),
        people("a", "b", "a"),
    ),
    "derived, each another": Case(
        "unique-duplicates",
        None,
        operations("DeriveDocuments('c', 'd', of)", "CreateIndex('d', 'email', unique=True)", code=OF),
        people("a", "b"),
    ),
    "what is derived does not meet a validator": Case(
        "validator-refuses",
        ERROR,
        operations(
            "SetValidator('d', {'email': 'b'})",
            "DeriveDocuments('c', 'd', of)",
            code=OF,
        ),
        people("a", "b"),
        dump=WARNING,
    ),
    "what comes into an empty collection does not meet its validator": Case(
        "validator-refuses",
        ERROR,
        operations("InsertDocuments('d', [{'_id': 1, 'n': 5}])"),
        people("a"),
        first=operations("SetValidator('d', {'n': {'$lt': 3}})"),
        dump=WARNING,
    ),
    "the same name with other keys": Case(
        "index-conflict",
        ERROR,
        operations("CreateIndex('c', 'n', name='email_1')"),
        people("a"),
        first=operations("CreateIndex('c', 'email')"),
    ),
    "the same keys with other options": Case(
        "index-conflict",
        ERROR,
        operations("CreateIndex('c', 'n', name='other', expireAfterSeconds=5)"),
        people("a"),
        first=operations("CreateIndex('c', 'n')"),
    ),
    "the same keys under another name": Case(
        "index-conflict",
        ERROR,
        operations("CreateIndex('c', 'n', name='other')"),
        people("a"),
        first=operations("CreateIndex('c', 'n')"),
    ),
    "the very same index": Case(
        "index-conflict",
        None,
        operations("CreateIndex('c', 'n', sparse=True)"),
        people("a"),
        first=operations("CreateIndex('c', 'n', sparse=True)"),
    ),
    "one that goes first": Case(
        "index-conflict",
        None,
        operations("DropIndex('c', 'n_1')", "CreateIndex('c', 'n', name='other')"),
        people("a"),
        first=operations("CreateIndex('c', 'n')"),
    ),
    "too many indexes": Case(
        "index-limit",
        ERROR,
        operations("*[CreateIndex('c', f'f{n}') for n in range(64)]"),
        people("a"),
        check=lambda f: f.evidence == {"indexes": 64},
    ),
    "just as many indexes as there may be": Case(
        "index-limit", None, operations("*[CreateIndex('c', f'f{n}') for n in range(63)]"), people("a")
    ),
    "an index that is not there": Case(
        "index-missing", WARNING, operations("DropIndex('c', 'x')"), people("a")
    ),
    "an index that is made on the way": Case(
        "index-missing", None, operations("CreateIndex('c', 'x')", "DropIndex('c', 'x_1')"), people("a")
    ),
    "the first keys of another": Case(
        "index-redundant",
        WARNING,
        operations("CreateIndex('c', [('n', 1)])"),
        people("a"),
        first=operations("CreateIndex('c', [('n', 1), ('email', -1)])"),
    ),
    "another that has its first keys": Case(
        "index-redundant",
        WARNING,
        operations("CreateIndex('c', [('n', 1), ('email', -1)])"),
        people("a"),
        first=operations("CreateIndex('c', 'n')"),
        check=lambda f: "replaces='n_1'" in f.remedy,
    ),
    "a unique index is not redundant": Case(
        "index-redundant",
        None,
        operations("CreateIndex('c', 'n', unique=True)"),
        people("a"),
        first=operations("CreateIndex('c', [('n', 1), ('email', -1)])"),
    ),
    "a name that is taken": Case(
        "collection-exists",
        ERROR,
        operations("RenameCollection('c', 'd')"),
        people("a"),
        others={"d": people("x", "y")},
        check=lambda f: f.evidence == {"documents": 2},
    ),
    "a name that is free by then": Case(
        "collection-exists",
        None,
        operations("RenameCollection('d', 'e')", "RenameCollection('c', 'd')"),
        people("a"),
        others={"d": people("x")},
    ),
    "a collection to rename that is not there": Case(
        "collection-missing", ERROR, operations("RenameCollection('x', 'y')"), people("a")
    ),
    "a collection to walk over that is not there": Case(
        "collection-missing", WARNING, operations("AddField('x', 'y', 1)"), people("a")
    ),
    "a collection that is renamed before": Case(
        "collection-missing",
        None,
        operations("RenameCollection('c', 'x')", "AddField('x', 'y', 1)"),
        people("a"),
    ),
    "what a dropped collection holds": Case(
        "drop-collection",
        WARNING,
        operations("DropCollection('c')"),
        people("a", "b"),
        check=lambda f: f.evidence["documents"] == 2 and f.evidence["bytes"] > 50,
    ),
    "a type that only some get": Case(
        "mixed-types",
        WARNING,
        operations("TransformDocuments('c', half)", code=HALF),
        people("a", "b", "c"),
        check=lambda f: f.evidence["types"] == {"number": 2, "string": 1},
    ),
    "a type that all get": Case(
        "mixed-types", None, operations("TransformDocuments('c', text)", code=TEXT), people("a", "b")
    ),
    "an index on two types": Case(
        "mixed-types",
        WARNING,
        operations("TransformDocuments('c', text)", "CreateIndex('c', 'email')", code=TEXT),
        people("a", 5),
    ),
    "a mixture that was there": Case(
        "mixed-types", None, operations("RenameField('c', 'email', 'mail')"), people("a", 5)
    ),
    "dates that expire": Case(
        "ttl-expires",
        WARNING,
        operations("TransformDocuments('c', age)", code=AGE),
        [{"_id": 1, "at": NEW}, {"_id": 2}],
        first=operations("CreateIndex('c', 'at', expireAfterSeconds=3600)"),
        check=lambda f: f.evidence["documents"] == 2,
    ),
    "a new TTL index": Case(
        "ttl-expires",
        WARNING,
        operations("CreateIndex('c', 'at', expireAfterSeconds=3600)"),
        [{"_id": 1, "at": NEW}, {"_id": 2, "at": OLD}, {"_id": 3}],
        check=lambda f: f.evidence["ids"] == [2],
    ),
    "a new TTL index after a pass over some": Case(
        "ttl-expires",
        WARNING,
        operations(
            "AddField('c', 'x', 1, where={'_id': 1})", "CreateIndex('c', 'at', expireAfterSeconds=3600)"
        ),
        [{"_id": n, "at": OLD} for n in range(4)],
        check=lambda f: f.evidence["documents"] == 4,
    ),
    "a TTL index that deletes nothing": Case(
        "ttl-expires",
        None,
        operations("CreateIndex('c', 'at', expireAfterSeconds=3600)"),
        [{"_id": 1, "at": NEW}, {"_id": 2, "at": "2001"}],
    ),
    "a lookup into nowhere": Case(
        "lookup-missing",
        WARNING,
        operations("TransformDocuments('c', look, others=Lookup('nowhere'))", code=LOOK),
        people("a"),
    ),
    "a lookup that finds nothing": Case(
        "lookup-missing",
        WARNING,
        operations("TransformDocuments('c', look, others=Lookup('d', key='k'))", code=LOOK),
        people("a"),
        others={"d": [{"_id": 1, "k": ObjectId()}]},
    ),
    "a lookup that finds something": Case(
        "lookup-missing",
        None,
        operations("TransformDocuments('c', look, others=Lookup('d', key='k'))", code=LOOK),
        people("a", "b"),
        others={"d": [{"_id": 1, "k": 1}]},
    ),
    "a lookup that chooses": Case(
        "lookup-several",
        WARNING,
        operations("TransformDocuments('c', look, others=Lookup('d', key='k'))", code=LOOK),
        people("a", "b"),
        others={"d": [{"_id": 1, "k": 1}, {"_id": 2, "k": 1}]},
    ),
    "a transform that goes on and on": Case(
        "not-settled", NOTE, operations("TransformDocuments('c', more)", code=UP_ONE), people("a")
    ),
    "a transform that is done": Case(
        "not-settled", None, operations("TransformDocuments('c', lower)", code=LOWER), people("A")
    ),
    "documents that a validator would refuse": Case(
        "validator-misfits",
        WARNING,
        operations(STRICT),
        people("a", "b", "c", "d", "e"),
        check=lambda f: f.evidence["documents"] == 2 and f.evidence["ids"] == [3, 4],
    ),
    "documents that a transform mends for it": Case(
        "validator-misfits",
        None,
        operations(
            "TransformDocuments('c', text)", "SetValidator('c', {'$and': [{'n': {'$gte': '0'}}]})", code=TEXT
        ),
        people("a", "b"),
    ),
    "documents that a transform spoils for it": Case(
        "validator-misfits",
        WARNING,
        operations("TransformDocuments('c', more)", STRICT, code=UP_ONE),
        people("a", "b", "c"),
        check=lambda f: f.evidence["ids"] == [2],
    ),
}


OF_DOCUMENTS_ALONE = {
    "what is derived does not meet a validator",
    "what comes into an empty collection does not meet its validator",
}
"""What the server is asked by a pipeline that begins with the documents; older ones have none, and plan says so."""
EACH = [
    pytest.param(case, id=name, marks=[pytest.mark.since("5.1")] if name in OF_DOCUMENTS_ALONE else [])
    for name, case in CASES.items()
]


@each_mode
@pytest.mark.parametrize("case", EACH)
def test_a_rule_speaks_where_it_has_to(world: World, case: Case) -> None:
    prepare(world, case)
    before = world.everything()
    plan = world.plan()
    assert world.everything() == before, "a plan writes nothing"
    found = [finding for finding in plan.findings if finding.rule == case.rule]
    says = case.dump if world.embedded and case.dump else case.says
    assert [finding.severity for finding in found] == ([] if says is None else [says])
    if found:
        assert case.check(found[0]), found[0]
        assert found[0].remedy
        assert found[0].file is not None
        assert found[0].file.endswith("0002_plan.py")
    wrong = [finding for finding in plan.findings if finding.severity is ERROR]
    assert isinstance(plan.refused, errors.WouldFail) == bool(wrong)


@servers
@pytest.mark.parametrize("case", EACH)
def test_what_is_called_an_error_fails(world: World, case: Case) -> None:
    """And where `plan` sees no error, `up` meets none."""
    prepare(world, case)
    wrong = [finding for finding in world.plan().findings if finding.severity is ERROR]
    for path in world.folder.glob("0002*.py"):
        path.write_text("".join(f"# allow: {f.rule} because it is tried\n" for f in wrong) + path.read_text())
    assert world.plan().refused is None
    result = world.up()
    assert (result.error is not None) == bool(wrong), result.error
    assert not isinstance(result.error, errors.WouldFail)


def prepare(world: World, case: Case) -> None:
    world.insert("c", case.documents)
    for name, documents in case.others.items():
        world.insert(name, documents)
    world.write("0001_first.py", case.first or operations())
    succeeded(world.up())
    world.write("0002_plan.py", case.plan)
