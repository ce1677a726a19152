"""Rules at work: `up` refuses with nothing written, users who may only read are told, large collections are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goaime_migrate import errors
from goaime_migrate.backends.server.survey import ServerSurvey
from goaime_migrate.results import Finding, PlanResult, Severity
from goaime_migrate.rules import indexes, lookups, room
from tests.integration.engines import each_mode, one_server, servers
from tests.integration.users import AsUser
from tests.servers import ReplicaSet
from tests.world import World, succeeded

HEAD = "from goaime_migrate import *\n"
UNIQUE = "CreateIndex('c', 'email', unique=True)"
TWINS = [{"_id": n, "email": "same", "n": n} for n in range(3)]


def operations(*listed: str, code: str = "") -> str:
    return f"{HEAD}{code}\noperations = [{', '.join(listed)}]\n"


def of(rule: str, plan: PlanResult) -> list[Finding]:
    return [finding for finding in plan.findings if finding.rule == rule]


def only(rule: str, plan: PlanResult) -> Finding:
    (found,) = of(rule, plan)
    return found


# up


@each_mode
@pytest.mark.parametrize(
    "operation",
    [
        UNIQUE,
        "RenameCollection('nowhere', 'x')",
        "RenameCollection('c', 'd')",
        "CreateIndex('c', 'x', name='n_1')",
    ],
)
def test_up_refuses_before_its_first_write(world: World, operation: str) -> None:
    world.insert("c", TWINS)
    world.insert("d", TWINS)
    world.write("0001_index.py", operations("CreateIndex('c', 'n')"))
    succeeded(world.up())
    before = world.everything()
    world.write("0002_add.py", operations("AddField('d', 'x', 1)"))
    world.write("0003_fails.py", operations(operation))
    result = world.up()
    assert isinstance(result.error, errors.WouldFail)
    assert (result.failed, result.versions) == ("0003", ())
    assert world.everything() == before, "nothing is written, no record, no entry of the log"


@each_mode
def test_up_refuses_in_a_database_that_has_no_records_yet_and_makes_none(world: World) -> None:
    world.insert("c", TWINS)
    world.write("0001_index.py", operations(UNIQUE))
    before = world.everything()
    assert isinstance(world.up().error, errors.WouldFail)
    assert world.everything() == before


@each_mode
def test_what_a_pending_version_may_still_mend_is_left_to_the_run(world: World) -> None:
    world.insert("c", TWINS)
    code = "def apart(d):\n    d['email'] += str(d['_id']) * (not d['email'][-1].isdigit())\n"
    world.write("0001_apart.py", operations("TransformDocuments('c', apart)", UNIQUE, code=code))
    succeeded(world.up())


@each_mode
def test_an_allowance_lets_up_try(world: World) -> None:
    world.insert("c", TWINS)
    world.write("0001_index.py", "# allow: unique-duplicates because we want to see\n" + operations(UNIQUE))
    finding = only("unique-duplicates", world.plan())
    assert finding.severity is Severity.NOTE
    assert finding.message.endswith("(allowed: we want to see)")
    assert isinstance(world.up().error, errors.DuplicateKey)


@each_mode
def test_what_a_run_that_was_cut_off_has_done_is_not_held_against_the_next(world: World) -> None:
    world.insert("c", TWINS)
    fails = "def fails(d):\n    raise ValueError('no')\n"
    world.write(
        "0001_some.py",
        operations("RenameCollection('c', 'd')", "TransformDocuments('d', fails)", code=fails),
    )
    assert isinstance(world.up().error, errors.TransformFailed)
    world.write("0001_some.py", operations("RenameCollection('c', 'd')", "AddField('d', 'x', 1)"))
    with world.migrator() as migrator:
        migrator.repair()
    succeeded(world.up())


# what cannot be foreseen


@each_mode
def test_after_a_plain_function_nothing_is_certain(world: World) -> None:
    world.insert("c", TWINS)
    world.insert("d", TWINS)
    world.write("0001_function.py", "def up(db):\n    db.c.find_one()\ndef down(db):\n    pass\n")
    world.write("0002_index.py", operations(UNIQUE, UNIQUE.replace("'c'", "'d'")))
    plan = world.plan()
    named, other = sorted(of("unique-duplicates", plan), key=lambda finding: str(finding.collection))
    assert named.severity is Severity.NOTE
    assert "0001" in named.message
    assert other.severity is Severity.WARNING
    assert "unless up(db) of 0001" in other.message
    assert plan.refused is None


@each_mode
def test_a_collection_that_cannot_be_foreseen_is_said_to_be_so(world: World) -> None:
    world.insert("c", TWINS)
    world.write(
        "0001_two.py",
        operations(
            "UpdateDocuments('c', [{'$set': {'email': '$n'}}])",
            "UpdateDocuments('c', [{'$set': {'m': 1}}])",
            UNIQUE,
        ),
    )
    finding = only("unique-duplicates", world.plan())
    assert finding.severity is Severity.NOTE
    assert "cannot be foreseen" in finding.message


# large collections


@each_mode
def test_scans_are_told_in_collections_of_some_size(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    look = "def look(d, others):\n    d['x'] = others.get(d['n'], {}).get('y')\n"
    world.insert("c", TWINS)
    world.insert("d", [{"_id": n, "k": n} for n in range(5)])
    world.write(
        "0001_look.py",
        operations(
            "TransformDocuments('c', look, where={'n': {'$lt': 2}}, others=Lookup('d', key='k'))", code=look
        ),
    )
    assert not of("unindexed-where", world.plan())
    monkeypatch.setattr(lookups, "SCANNED", 3)
    plan = world.plan()
    assert only("unindexed-where", plan).evidence == {"documents": 3, "matched": 2, "fields": ["n"]}
    assert only("unindexed-lookup", plan).evidence == {"documents": 5, "batches": 1}
    world.write("0000_index.py", operations("CreateIndex('c', 'n')", "CreateIndex('d', 'k')"))
    plan = world.plan()
    assert not of("unindexed-where", plan)
    assert not of("unindexed-lookup", plan)


@each_mode
def test_a_build_on_a_large_collection_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.insert("c", TWINS)
    world.write("0001_index.py", operations("CreateIndex('c', 'n')"))
    assert not of("index-build", world.plan())
    monkeypatch.setattr(indexes, "LARGE", 3)
    found = only("index-build", world.plan())
    assert found.evidence["documents"] == 3
    assert found.evidence["bytes"] > 100


@each_mode
def test_where_a_sample_is_looked_at_the_server_finds_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that does not touch the field: its duplicates are in the collection, and in no sample."""
    from goaime_migrate.up import preview

    monkeypatch.setattr(preview, "EXHAUSTIVE", 10)
    monkeypatch.setattr(preview, "SAMPLE", 5)
    world.insert("c", [{"_id": n, "email": "same" if n in (17, 391) else str(n)} for n in range(400)])
    world.write("0001_index.py", operations("AddField('c', 'x', 1)", UNIQUE))
    found = only("unique-duplicates", world.plan())
    assert found.evidence["examples"] == [{"key": {"email": "same"}, "ids": [17, 391], "documents": 2}]
    assert found.evidence["complete"] is True


@one_server
def test_a_validator_that_is_there_refuses_a_result(world: World) -> None:
    world.insert("c", [{"_id": n, "n": n} for n in range(4)])
    world.write(
        "0001_set.py",
        operations("SetValidator('c', {'required': ['n'], 'properties': {'n': {'bsonType': 'int'}}})"),
    )
    succeeded(world.up())
    code = "def text(d):\n    d['n'] = str(d['n'])\n"
    world.write(
        "0002_text.py", operations("TransformDocuments('c', text, where={'_id': {'$gt': 0}})", code=code)
    )
    plan = world.plan()
    found = only("validator-refuses", plan)
    assert (found.severity, found.evidence["documents"]) == (Severity.ERROR, 3)
    assert isinstance(plan.refused, errors.WouldFail)
    assert isinstance(world.up().error, errors.ValidatorRejected)
    succeeded(world.down("1"))
    off = "SetValidator('c', {'required': ['n']}, level='off')"
    world.write("0002_text.py", operations(off, "TransformDocuments('c', text)", code=code))
    assert not of("validator-refuses", world.plan())
    succeeded(world.up())


@one_server
@pytest.mark.parametrize(("level", "severity"), [("moderate", None), ("strict", Severity.ERROR)])
def test_a_moderate_validator_lets_old_misfits_be(
    world: World, level: str, severity: Severity | None
) -> None:
    world.insert("c", [{"_id": 1, "n": "old"}])
    world.write(
        "0001_set.py",
        operations(f"SetValidator('c', {{'properties': {{'n': {{'bsonType': 'int'}}}}}}, level={level!r})"),
    )
    succeeded(world.up())
    world.write("0002_add.py", operations("AddField('c', 'x', 1)"))
    assert [f.severity for f in of("validator-refuses", world.plan())] == (
        [] if severity is None else [severity]
    )
    assert (world.up().error is None) == (severity is None)


@servers
def test_results_that_no_collection_holds(world: World) -> None:
    world.insert("c", [{"_id": 1}])
    code = "def grow(d):\n    d['x'] = 'x' * 13_000_000\n"
    world.write("0001_grow.py", operations("TransformDocuments('c', grow)", code=code))
    assert only("result-size", world.plan()).severity is Severity.WARNING


# room


@one_server
def test_what_there_is_to_fill_is_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.insert("c", TWINS)
    world.write("0001_add.py", operations("AddField('c', 'x', 1)"))
    assert not of("disk-space", world.plan())
    monkeypatch.setattr(room, "_AMPLE", 1e-12)
    plan = world.plan()
    assert only("disk-space", plan).evidence["free_bytes"] > 1_000_000
    assert only("oplog-window", plan).evidence["oplog_bytes"] > 1_000_000
    assert "replSetResizeOplog" in only("oplog-window", plan).remedy


@one_server
def test_a_large_collection_with_secondaries_is_to_be_walked_at_a_pace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.insert("c", TWINS)
    world.write("0001_add.py", operations("AddField('c', 'x', 1)"))
    monkeypatch.setattr(room, "LARGE", 2)
    assert not of("unpaced", world.plan()), "there is no secondary"

    asked = ServerSurvey.room
    monkeypatch.setattr(ServerSurvey, "room", lambda self: asked(self)._replace(secondaries=2))
    said = only("unpaced", world.plan())
    assert said.evidence["secondaries"] == 2
    assert "max_lag" in said.remedy
    for pace in ("max_lag", "max_rate"):
        assert not of("unpaced", replace(world, settings={pace: 10.0}).plan())


# whoever may only read


def test_a_user_who_may_only_read_is_told_all_the_same(
    new_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = new_user([{"role": "read", "db": database_name}])
    secured_replica_set.client[database_name].c.insert_many(TWINS)
    more = "def more(d):\n    d['n'] += 1\n"
    world.write(
        "0001_all.py", operations("TransformDocuments('c', more)", UNIQUE, "DropCollection('c')", code=more)
    )
    plan = world.plan()
    assert only("unique-duplicates", plan).severity is Severity.ERROR
    assert of("drop-collection", plan)
    assert of("not-settled", plan)
    assert {finding.severity for finding in of("privilege", plan)} == {Severity.NOTE}
    assert secured_replica_set.client[database_name].list_collection_names() == ["c"]


def test_a_privilege_that_is_missing_is_an_error_with_the_grant(
    new_user: AsUser, secured_replica_set: ReplicaSet, database_name: str
) -> None:
    world = new_user([{"role": "readWrite", "db": database_name}])
    secured_replica_set.client[database_name].c.insert_many(TWINS)
    world.write("0001_set.py", operations("SetValidator('c', {'required': ['n']})"))
    finding = only("privilege", world.plan())
    assert finding.severity is Severity.ERROR
    assert "collMod" in finding.message
    assert "grantRolesToUser" in finding.remedy
    result = world.up()
    assert isinstance(result.error, errors.MissingPrivilege)
    assert world.states() == ["pending"]
