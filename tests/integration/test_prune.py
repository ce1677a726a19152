"""`prune`: what it deletes is gone for good, what it leaves is whole, and nothing of that is ever a half truth."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp, decode, encode

from goaime_migrate import cli, errors
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import JOURNAL, LOG, PROGRESS, TAIL, VERSIONS
from goaime_migrate.config import Settings
from goaime_migrate.journal.paging import payloads
from goaime_migrate.journal.seal import unseal
from goaime_migrate.results import Direction, ErasedDocument, PruneResult
from goaime_migrate.run import partitions
from tests.integration.engines import each_mode, one_server, two
from tests.world import World, succeeded

SOURCES = {
    "0001_name.py": """
        from goaime_migrate import *

        def name(d, users):
            d["name"] = users[d["_id"]]["name"]

        operations = [TransformDocuments("c", name, users=Lookup("users"))]
    """,
    "0002_count.py": """
        from goaime_migrate import *

        def count(d):
            d["n"] += 1000

        operations = [TransformDocuments("c", count)]
    """,
    "0003_collections.py": """
        from goaime_migrate import *
        operations = [DropCollection("gone"), CreateIndex("c", "n")]
    """,
    "0004_other.py": """
        from goaime_migrate import *

        def other(d):
            d["other"] = d["_id"]

        operations = [TransformDocuments("d", other)]
    """,
    "0005_index.py": """
        from goaime_migrate import *
        operations = [CreateIndex("d", "other")]
    """,
}


def prune(world: World, *, dry_run: bool = False, **what: Any) -> PruneResult:
    with world.migrator() as migrator:
        return migrator.prune(dry_run=dry_run, **what)


def erase(world: World, collection: str, identity: Any, *, dry_run: bool = False) -> PruneResult:
    with world.migrator() as migrator:
        return migrator.erase(collection, identity, dry_run=dry_run)


def old(i: int) -> dict[str, Any]:
    return {"_id": f"person{i}", "n": i}


@pytest.fixture
def shop(world: World) -> World:
    """Five versions that are applied; the first two are one pass."""
    world.settings["batch_size"] = 3
    world.insert("c", [old(i) for i in range(8)])
    world.insert("d", [old(i) for i in range(4)])
    world.insert("gone", [{"_id": "person1", "x": 1}, {"_id": "person2", "x": 2}])
    world.insert("users", [{"_id": f"person{i}", "name": f"called {i}"} for i in range(8)])
    for name, source in SOURCES.items():
        world.write(name, source)
    succeeded(world.up())
    return world


def everything(world: World) -> str:
    """All that is kept in records, as text; the journal's payloads unpacked."""
    backend = connect(Settings(uri=world.uri, database=world.database), write=False)
    try:
        journals = [unseal(p, 2**26) for p in payloads(backend, "0")]
        aside = [name for name in backend.collections() if name.startswith("schema_versions_aside")]
    finally:
        backend.close()
    records = [
        *world.documents(VERSIONS),
        *world.documents(LOG),
        *world.documents("schema_versions_progress"),
    ]
    kept = [document for name in aside for document in world.documents(name)]
    return repr([records, world.documents(JOURNAL), journals, kept])


def ranges(world: World) -> str:
    """Where the ranges of segments begin and end."""
    heads = [d for d in world.documents(JOURNAL) if "upto" in d]
    return repr([decode(end) for d in heads for end in (d["after"], d["upto"]) if end is not None])


FAILS = """
    from goaime_migrate import *

    def fails(d):
        raise ValueError("no")

    operations = [TransformDocuments("c", fails)]
"""


@each_mode
def test_pruned_versions_are_refused_by_down_with_who_and_when(shop: World) -> None:
    before = shop.status()
    assert before.journal_bytes > 0
    foreseen = prune(shop, versions=["4"], dry_run=True)
    kept = shop.everything()
    assert (foreseen.pruned, foreseen.unreachable) == (("0004",), ("0001", "0002", "0003"))
    assert shop.everything() == kept
    done = prune(shop, versions=["0004"])
    assert (done.pruned, done.freed_bytes) == (("0004",), foreseen.freed_bytes)
    assert foreseen.freed_bytes >= before.versions[3].journal_bytes > 0
    succeeded(shop.down("0004"))
    error = shop_refuses(shop)
    assert (error.code, error.exit_code, error.version) == ("GM810", 9, "0004")
    assert "was pruned by" in error.message
    after = shop.status()
    assert after.versions[3].journal_bytes == 0
    assert after.journal_bytes == before.journal_bytes - before.versions[3].journal_bytes
    assert after.problems == ()
    assert [warning.code for warning in after.warnings] == ["GM810"]
    assert "0004 can be taken back no more" in after.warnings[0].message
    assert prune(shop, versions=["0004"]).empty
    assert not any("0004" in str(record["_id"]) for record in shop.documents(JOURNAL))


def shop_refuses(world: World) -> errors.MigrateError:
    """The error of `down`, which changes nothing, and of its plan."""
    with world.migrator() as migrator, pytest.raises(errors.JournalPruned) as caught:
        migrator.down()
    planned = world.plan(direction=Direction.DOWN).refused
    assert planned is not None
    assert planned.message == caught.value.message
    return caught.value


@each_mode
def test_members_of_one_pass_go_together(shop: World) -> None:
    kept = shop.everything()
    with pytest.raises(errors.Refused, match="0001 shares its journal with 0002") as caught:
        prune(shop, versions=["1"])
    assert "--version 0001 --version 0002" in caught.value.hint
    assert shop.everything() == kept
    assert prune(shop, versions=["1", "2"]).pruned == ("0001", "0002")
    succeeded(shop.down("2"))
    assert shop_refuses(shop).version == "0002"


@each_mode
def test_a_collection_that_was_kept_aside_goes_with_its_version(shop: World) -> None:
    done = prune(shop, versions=["3"])
    assert (done.pruned, done.collections) == (("0003",), ("schema_versions_aside.0003.gone",))
    assert sorted(shop.catalogue()) == ["c", "d", "users"]
    succeeded(shop.down("3"))
    assert shop_refuses(shop).version == "0003"


@each_mode
def test_what_keeps_nothing_is_not_marked(shop: World) -> None:
    done = prune(shop, versions=["5"])
    assert done.empty
    assert "0005 keeps nothing" in done.notes[0]
    assert prune(shop, keep=0).pruned == ("0001", "0002", "0003", "0004")
    assert shop.documents(JOURNAL) == []
    succeeded(shop.down())
    assert shop.states() == ["applied"] * 4 + ["pending"]
    succeeded(shop.up())


@each_mode
def test_age_is_that_of_the_server(shop: World) -> None:
    assert prune(shop, keep=3600).empty
    record = next(d for d in shop.documents(VERSIONS) if d["_id"] == "0002")
    shop.change(VERSIONS, "0002", applied_at=record["applied_at"].replace(year=2020))
    assert prune(shop, keep=3600).empty  # the other member of its pass is younger
    shop.change(VERSIONS, "0001", applied_at=record["applied_at"].replace(year=2020))
    assert prune(shop, keep=3600).pruned == ("0001", "0002")


@each_mode
def test_unfinished_versions_are_not_pruned(shop: World) -> None:
    succeeded(shop.down("3"))
    succeeded(shop.up("4", where={"_id": "person1"}))
    with pytest.raises(errors.Refused, match=r"0004 .*is partial"):
        prune(shop, versions=["4"])
    with pytest.raises(errors.Refused, match="unfinished"):
        erase(shop, "c", "person1")
    assert prune(shop, keep=0).pruned == ("0001", "0002", "0003")
    succeeded(shop.up("4"))
    succeeded(shop.down("3"))


@each_mode
def test_what_was_kept_aside_of_a_version_that_is_gone_goes_too(world: World) -> None:
    world.write("0001_make.py", "from goaime_migrate import *\noperations = [CreateCollection('made')]\n")
    succeeded(world.up())
    world.insert("made", [{"_id": 1}])
    succeeded(world.down())
    aside = "schema_versions_aside.0001.made"
    assert aside in world.catalogue()
    assert prune(world, keep=3600).empty
    assert prune(world, versions=["1"], dry_run=True).collections == (aside,)
    assert prune(world, keep=0).collections == (aside,)
    assert aside not in world.catalogue()


@each_mode
def test_a_damaged_journal_is_told_and_nothing_is_marked(shop: World) -> None:
    record = next(d for d in shop.documents(JOURNAL) if "2-scan" in d["_id"] and "0004" in d["_id"])
    shop.remove(JOURNAL, record["_id"])
    with pytest.raises(errors.JournalIncomplete):
        prune(shop, versions=["4"])
    with pytest.raises(errors.JournalIncomplete):
        erase(shop, "d", "person1")
    assert [version.get("rollback") for version in shop.documents(VERSIONS)] == [None] * 5


@each_mode
def test_what_was_marked_and_not_deleted_is_deleted_by_the_next(shop: World) -> None:
    for version in ("0001", "0002"):
        shop.change(VERSIONS, version, rollback="pruned")
    assert shop.status().problems == ()
    found = prune(shop, versions=["5"], dry_run=True)
    assert (found.leftover, found.pruned) == (True, ())
    done = prune(shop, keep=3600)
    assert done.leftover
    assert done.freed_bytes > 0
    assert {str(r["_id"])[:4] for r in shop.documents(JOURNAL)} == {"0004"}
    assert prune(shop, keep=3600).empty


@each_mode
def test_it_stops_for_a_signal_and_goes_on(shop: World) -> None:
    with shop.migrator() as migrator:
        migrator.interrupt()
        with pytest.raises(errors.Interrupted, match=r"stopped by interrupt\(\) after") as caught:
            migrator.prune(keep=0)
        assert caught.value.exit_code == 130
        assert caught.value.hint == "the same command again does the rest"
        with pytest.raises(errors.Interrupted):
            migrator.erase("c", "person1")
    assert prune(shop, keep=0).pruned == ("0001", "0002", "0003", "0004")


# one document


@each_mode
def test_nothing_is_left_of_a_document_that_was_erased(shop: World) -> None:
    assert all(word in everything(shop) for word in ("person1", "called 1"))
    shop.remove("c", "person1")
    shop.remove("users", "person1")
    kept = shop.everything()
    foreseen = erase(shop, "c", "person1", dry_run=True)
    assert shop.everything() == kept
    done = erase(shop, "c", "person1")
    assert done.erased == foreseen.erased
    assert done.erased is not None
    assert done.erased.versions == ("0001", "0002")
    assert done.freed_bytes == len(encode(old(1)))
    kept_bytes = sum(len(encode(d)) for d in shop.documents(JOURNAL) if "2-scan" in d["_id"])
    assert shop.status().journal_bytes == kept_bytes
    erase(shop, "users", "person1")
    erase(shop, "d", "person1")
    erase(shop, "gone", "person1")
    assert not any(word in everything(shop) for word in ("person1", "called 1"))
    assert erase(shop, "c", "person1").empty
    status = shop.status()
    assert status.problems == ()
    assert "1 document was erased from the journal of 0001, 0002 over c" in status.warnings[0].message


@each_mode
def test_what_was_erased_stays_and_is_counted_by_its_hash(shop: World) -> None:
    done = erase(shop, "c", "person1")
    assert "in c" in done.notes[0]
    erase(shop, "c", "person5")
    after = {d["_id"]: d for d in shop.documents("c")}
    preview = shop.plan("base", direction=Direction.DOWN).preview
    assert preview is not None
    assert (preview.erased, preview.born) == (2, 0)
    result = succeeded(shop.down("base"))
    assert len(result.erased) == 2
    assert (result.born, result.conflicts) == (0, ())
    expected = {f"person{i}": after[f"person{i}"] if i in (1, 5) else old(i) for i in range(8)}
    assert {d["_id"]: d for d in shop.documents("c")} == expected
    succeeded(shop.up("head"))


@each_mode
def test_half_a_pass_is_taken_back_around_what_was_erased(shop: World) -> None:
    erase(shop, "c", "person1")
    erase(shop, "users", "person2")
    result = succeeded(shop.down("1"))
    assert len(result.erased) == 1
    assert [conflict.id for conflict in result.conflicts] == ["person2"]
    found = {d["_id"]: d for d in shop.documents("c")}
    assert found["person3"] == {"_id": "person3", "n": 3, "name": "called 3"}
    assert found["person1"]["n"] == 1001
    assert found["person2"]["n"] == 1002
    assert len(succeeded(shop.down("base")).erased) == 1
    assert shop.documents("c")[3] == old(3)


@each_mode
def test_it_is_erased_from_what_was_kept_aside(shop: World) -> None:
    done = erase(shop, "gone", "person1")
    assert done.erased is not None
    assert done.erased.versions == ("0003",)
    succeeded(shop.down("2"))
    assert shop.documents("gone") == [{"_id": "person2", "x": 2}]


@each_mode
def test_no_range_ends_with_what_was_erased(shop: World) -> None:
    for identity in ("person2", "person5", "person0", "person1"):  # batches are of three
        done = erase(shop, "c", identity)
        assert done.erased is not None
        assert done.erased.versions == ("0001", "0002")
        erase(shop, "users", identity)
        for collection in ("d", "gone"):
            erase(shop, collection, identity)
        kept = everything(shop)
        assert identity not in kept
        assert "person7" in kept
        assert erase(shop, "c", identity).empty
    assert shop.status().problems == ()
    preview = shop.plan("base", direction=Direction.DOWN).preview
    assert preview is not None
    assert (preview.erased, preview.born, preview.conflicts) == (4, 0, 0)
    result = succeeded(shop.down("base"))
    assert (len(result.erased), result.born, result.conflicts) == (4, 0, ())
    for i in (3, 4, 6, 7):
        assert old(i) in shop.documents("c")


@one_server
def test_no_partition_ends_with_what_was_erased(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "SIZE", 4)
    monkeypatch.setattr(partitions, "WORTH", 4)
    world.settings |= {"batch_size": 3, "workers": 1}
    world.insert("c", [{"_id": f"person{i:02}", "n": i} for i in range(40)])
    world.write("0002_count.py", SOURCES["0002_count.py"])
    (world.folder / "0002_count.py").rename(world.folder / "0001_count.py")
    succeeded(world.up())
    (record,) = [d for d in world.documents("schema_versions_progress") if d["kind"] == "pass"]
    ends = [decode(bound)["_id"] for bound in record["bounds"]]
    assert len(ends) > 2
    for identity in ends[:3]:
        erase(world, "c", identity)
        assert identity not in everything(world)
    assert world.status().problems == ()
    result = succeeded(world.down())
    assert (len(result.erased), result.born) == (3, 0)


@each_mode
def test_a_pass_does_not_keep_what_was_the_greatest_id_when_it_was_planned(world: World) -> None:
    world.insert("c", [old(i) for i in range(5)])
    world.write("0001_count.py", SOURCES["0002_count.py"])
    succeeded(world.up())
    for identity in ("person4", "person3"):
        world.remove("c", identity)
        assert erase(world, "c", identity).erased == ErasedDocument("c", identity, ("0001",))
        assert identity.encode() not in b"".join(map(encode, world.documents(PROGRESS)))
        assert identity not in everything(world)
        assert erase(world, "c", identity).empty
    assert world.status().problems == ()
    assert (len(succeeded(world.down()).erased), world.documents("c")) == (2, [old(i) for i in range(3)])


@each_mode
def test_a_canary_does_not_keep_it_either(world: World) -> None:
    world.insert("c", [old(i) for i in range(5)])
    world.write("0001_count.py", SOURCES["0002_count.py"])
    succeeded(world.up(where={"n": 1}))
    succeeded(world.up())
    for identity in ("person4", "person1"):
        erase(world, "c", identity)
        assert identity.encode() not in b"".join(map(encode, world.documents(PROGRESS)))
        assert identity not in ranges(world)
        assert identity not in everything(world)
    assert world.status().problems == ()
    assert len(succeeded(world.down()).erased) == 2


@one_server
def test_what_a_sweep_that_was_cut_off_has_collected_is_seen_to_first(world: World) -> None:
    world.insert("d", [old(i) for i in range(4)])
    world.write("0001_other.py", SOURCES["0004_other.py"])
    succeeded(world.up())
    (walk,) = [f"{d['_id']}#sweep" for d in world.documents(PROGRESS) if d["kind"] == "pass"]
    ids = encode({"_id": "person0"}) + encode({"_id": "person1"})
    record = {
        "_id": f"{walk}/x/1",
        "format": 1,
        "pass": walk,
        "at": Timestamp(1, 1),
        "token": None,
        "ids": ids,
    }
    world.insert(TAIL, [record])
    kept = world.everything()
    with pytest.raises(errors.Refused, match="sweep of d is unfinished") as caught:
        erase(world, "d", "person1")
    assert "sweep" in caught.value.hint
    assert world.everything() == kept
    erase(world, "d", "person2")
    succeeded(world.sweep())
    assert not erase(world, "d", "person1").empty
    assert world.documents(TAIL) == []


@one_server
def test_what_a_sweep_has_left_is_refused_while_it_is_there_and_erased_when_it_is_gone(world: World) -> None:
    world.insert("d", [{"_id": f"person{n}", "n": n} for n in range(3)])
    world.write(
        "0001_half.py",
        """
        from goaime_migrate import *

        def half(d):
            if "half" not in d:
                d["half"] = d["n"] / 2

        operations = [TransformDocuments("d", half)]
        """,
    )
    succeeded(world.up())
    for name in ("person7", "person8"):
        world.put("d", encode({"_id": name, "n": "seven"}))
    assert world.sweep().remaining == 2
    kept = world.everything()
    with pytest.raises(
        errors.Refused, match="has left this document in an old shape, it is in d still"
    ) as caught:
        erase(world, "d", "person7")
    assert "delete the document from d, or correct it" in caught.value.hint
    assert world.everything() == kept
    world.remove("d", "person7")
    assert "person7" in str(world.documents(TAIL))
    assert erase(world, "d", "person7").erased == ErasedDocument("d", "person7", ("0001",))
    assert "person7" not in everything(world) + str(world.documents(TAIL))
    assert world.sweep().remaining == 1, "the other is still looked at"
    world.remove("d", "person8")
    assert succeeded(world.sweep()).remaining == 0
    assert "person8" not in everything(world) + str(world.documents(TAIL))


@one_server
def test_a_pass_in_which_nothing_was_written_has_its_plan_still(world: World) -> None:
    world.insert("c", [old(i) for i in range(2)])
    world.write("0001_fails.py", FAILS)
    assert world.up().failed == "0001"
    with pytest.raises(errors.Refused, match="unfinished"):
        erase(world, "c", "person1")
    succeeded(world.down())
    assert erase(world, "c", "person1").empty
    assert "person1" not in everything(world)


EQUAL: list[tuple[Any, Any]] = [
    ({"tenant": Int64(7)}, {"tenant": 7}),
    ({"a": 1.0, "b": ["x", 2]}, {"a": 1, "b": ["x", Decimal128("2.00")]}),
    (Decimal128("1.0"), 1),
    (1e17, 10**17),
    (Decimal128("2.50"), 2.5),
    (Decimal128("1E+3"), 1000),
    (5.0, 5),
]
"""What is stored as `_id`, and what is asked for."""


@each_mode
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("canary", [True, False])
def test_an_id_is_what_the_server_finds_equal(world: World, there: bool, canary: bool) -> None:
    world.settings["batch_size"] = 2
    world.insert(
        "c", [{"_id": stored, "n": n, "secret": f"secret {n}"} for n, (stored, _) in enumerate(EQUAL)]
    )
    world.insert("gone", [{"_id": stored, "secret": f"secret {n}"} for n, (stored, _) in enumerate(EQUAL)])
    world.write(
        "0001_name.py",
        """
        from goaime_migrate import *

        def name(d, c):
            d["n"] += 1000
            if c[d["_id"]]["secret"] == "secret 2":
                import warnings
                warnings.warn("odd")

        operations = [TransformDocuments("c", name, c=Lookup("c"))]
        """,
    )
    if canary:
        succeeded(world.up(where={"n": {"$gte": 0}}))
    world.write("0002_drop.py", "from goaime_migrate import *\noperations = [DropCollection('gone')]\n")
    succeeded(world.up())
    raws = list(world.raws("c"))
    if not there:
        for stored, _ in EQUAL:
            world.remove("c", stored)
    for n, (stored, asked) in enumerate(EQUAL):
        assert erase(world, "c", asked).erased == ErasedDocument("c", asked, ("0001",))
        assert erase(world, "gone", asked).erased == ErasedDocument("gone", asked, ("0002",))
        kept = everything(world)
        assert f"secret {n}" not in kept
        assert not [raw for raw in raws if raw == encode({"_id": stored}) and repr(raw)[2:-1] in kept]
        assert erase(world, "c", asked).empty
    assert world.status().problems == ()
    assert len(succeeded(world.down("base")).erased) == len(EQUAL)


@each_mode
def test_an_id_is_typed_as_blame_takes_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = "640000000000000000000001", "65f0c0ffee65f0c0ffee65f0"
    stored: tuple[Any, ...] = (ObjectId(first), second, "ann", 7)
    world.insert("c", [{"_id": identity, "n": 1} for identity in stored])
    world.write("0001_count.py", SOURCES["0002_count.py"])
    succeeded(world.up())
    where = ["--uri", world.uri, "--database", world.database, "--migrations", str(world.folder)]
    for typed in (first, second, "ann", "7"):
        assert cli.main(["prune", *where, "--collection", "c", "--id", typed, "--yes"]) == 0
        assert "erased from what 0001 has kept" in capsys.readouterr().out
    assert cli.main(["prune", *where, "--collection", "c", "--id", '"7"', "--yes"]) == 0
    assert 'c has no document with this _id either; its type matters: "7" is not 7' in capsys.readouterr().out
    assert cli.main(["prune", *where, "--collection", "c", "--id", '"7', "--yes"]) == 2


@each_mode
def test_equal_is_no_more_than_equal(world: World) -> None:
    world.insert("c", [{"_id": identity, "n": 1} for identity in (7, "7", {"a": 7}, {"b": 7}, True, 2**53)])
    world.write("0001_count.py", SOURCES["0002_count.py"])
    succeeded(world.up())
    for identity in (1, 2.0**53 + 2, {"a": 7.5}, [7], {"a": "7"}):
        assert erase(world, "c", identity).empty


@each_mode
def test_a_collection_that_nobody_knows_is_told(shop: World) -> None:
    with pytest.raises(errors.UnknownDocument, match="no collection nothing"):
        erase(shop, "nothing", "person1")
    assert erase(shop, "c", "nobody").empty


WARNS = """
    import warnings
    from goaime_migrate import *

    def warn(d):
        if d["_id"] == "person1":
            warnings.warn("odd: person1 called 1")
        if d["_id"] in ("person2", "person3"):
            warnings.warn("odd")
        if d["_id"] == "person4" and d["n"] == 4:
            raise ValueError("the secret of person4")
        d["m"] = 1

    operations = [TransformDocuments("c", warn)]
"""


@two
def test_messages_do_not_speak_of_it_any_more(world: World) -> None:
    world.settings["batch_size"] = 2
    world.insert("c", [old(i) for i in range(6)])
    world.write("0001_warn.py", WARNS)
    assert world.up().failed == "0001"
    world.change("c", "person4", n=7)
    succeeded(world.up())
    assert all(word in everything(world) for word in ("secret of person4", "odd: person1 called 1"))
    for identity in ("person1", "person3", "person4"):
        erase(world, "c", identity)
    kept = everything(world)
    assert not any(word in kept for word in ("person1", "person3", "person4", "secret", "called"))
    assert "person2" in kept
    succeeded(world.down())


@each_mode
def test_documents_that_were_left_alone_derived_or_found_twice_are_erased(world: World) -> None:
    world.insert("c", [{"_id": "person1", "k": 1}, {"_id": "person2", "k": 1}, {"_id": "person3", "k": 3}])
    world.write(
        "0001_all.py",
        """
        from goaime_migrate import *

        def twin(d):
            return [{"_id": d["_id"] + " twin", "k": d["k"]}]

        def some(d):
            if d["k"] == 3:
                d["z"] = 1

        operations = [
            TransformDocuments("c", some),
            DeriveDocuments("c", "twins", twin),
            DeleteDuplicates("c", "k"),
        ]
        """,
    )
    succeeded(world.up())
    for identity in ("person2", "person1"):
        erase(world, "c", identity)
        erase(world, "twins", f"{identity} twin")
    kept = everything(world)
    assert "person3" in kept
    assert "person2" not in kept
    result = succeeded(world.down())
    assert len(result.erased) == 3  # person2, which was deleted, and the twins
    assert [d["_id"] for d in world.documents("c")] == ["person1", "person3"]
    assert {d["_id"] for d in world.documents("twins")} == {"person1 twin", "person2 twin"}


@each_mode
@pytest.mark.parametrize("many", [False, True])
def test_lookups_with_other_keys_know_what_they_do_not_know(world: World, many: bool) -> None:
    world.settings["batch_size"] = 3
    world.insert("c", [{"_id": i, "who": f"u{i % 3}"} for i in range(9)])
    world.insert("users", [{"_id": f"person{i}", "name": f"u{i}", "v": i} for i in range(3)])
    get = 'sum(u["v"] for u in users[d["who"]])' if many else 'users[d["who"]]["v"]'
    world.write(
        "0001_a.py",
        f"""
        from goaime_migrate import *

        def a(d, users):
            d["a"] = {get}

        operations = [TransformDocuments("c", a, users=Lookup("users", key="name", many={many}))]
        """,
    )
    world.write(
        "0002_b.py",
        "from goaime_migrate import *\n\ndef b(d):\n    d['b'] = d.pop('a')\n\n"
        "operations = [TransformDocuments('c', b)]\n",
    )
    succeeded(world.up())
    erase(world, "users", "person1")
    result = succeeded(world.down("1"))
    assert sorted(conflict.id for conflict in result.conflicts) == [1, 4, 7]
    found = {d["_id"]: d for d in world.documents("c")}
    assert found[3] == {"_id": 3, "who": "u0", "a": 0}
    assert found[4] == {"_id": 4, "who": "u1", "b": 1}
    succeeded(world.down("base"))
    assert world.documents("c") == [{"_id": i, "who": f"u{i % 3}"} for i in range(9)]


@each_mode
def test_verify_says_what_only_a_pruned_journal_knew(world: World) -> None:
    world.insert("c", [{"_id": i, "n": i} for i in range(4)])
    world.write(
        "0001_some.py",
        """
        from goaime_migrate import *

        def some(d):
            d["m"] = 1

        def has(d):
            return [] if "m" in d else ["m: missing"]

        operations = [TransformDocuments("c", some, check=has, where={"n": {"$gt": 1}})]
        """,
    )
    succeeded(world.up())
    before = world.verify().promises
    prune(world, keep=0)
    found = world.verify()
    assert (found.promises, found.failures) == (before - 1, ()), "the fixed point is asked of all that match"
    assert [(each.version, each.collection) for each in found.unchecked] == [("0001", "c")]
    assert "was pruned" in found.unchecked[0].reason
