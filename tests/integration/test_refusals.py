"""Bad input: refused with a code, the place and the next command, and nothing is lost."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.config import Settings
from goaime_migrate.migrator import Migrator
from tests.integration.engines import dump, each_mode, one_server, servers, two
from tests.integration.refused import DOCUMENTS, file_problem, grow, opened, refusal, said, values
from tests.servers import ADMIN, READER, WRITER, Kind, ReplicaSet, User
from tests.world import World, succeeded


def test_a_server_that_is_not_there_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        started = time.monotonic()
        error = opened(f"mongodb://user:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=300", tmp_path)
    assert isinstance(error, errors.ServerUnreachable)
    assert error.exit_code == 8
    assert f"127.0.0.1:{port}" in error.message
    assert "secret" not in said(error)
    assert time.monotonic() - started < 5


def test_wrong_credentials_are_refused_without_the_password(
    secured_replica_set: ReplicaSet, tmp_path: Path
) -> None:
    wrong = User("writer", "wr0ng:pass", ())
    error = opened(secured_replica_set.uri_for(wrong), tmp_path)
    assert isinstance(error, errors.AuthenticationFailed)
    assert error.exit_code == 2
    assert "authSource" in error.hint
    for secret in ("wr0ng", "wr0ng%3Apass"):
        assert secret not in said(error)


def test_no_credentials_are_refused(secured_replica_set: ReplicaSet, tmp_path: Path) -> None:
    error = opened(secured_replica_set.uri_for(None), tmp_path)
    assert isinstance(error, errors.MissingPrivilege | errors.AuthenticationFailed)


def test_a_read_only_user_reads_and_may_not_write(
    secured_replica_set: ReplicaSet, database_name: str, tmp_path: Path
) -> None:
    secured_replica_set.client[database_name].c.insert_one({"_id": 1})
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_n.py").write_text("from goaime_migrate import *\noperations = [AddField('c', 'n', 1)]\n")
    settings = Settings(uri=secured_replica_set.uri_for(READER), database=database_name, migrations=folder)
    with Migrator(settings) as migrator:
        assert migrator.status().pending == ("0001",)
        assert migrator.plan().steps[0].operations[0].changed == 1
        with pytest.raises(errors.MissingPrivilege) as caught:
            migrator.up()
    assert caught.value.exit_code == 9
    assert "readWrite" in caught.value.hint
    assert READER.password not in said(caught.value)
    names = secured_replica_set.client[database_name].list_collection_names()
    assert names == ["c"]


def test_a_user_who_may_read_and_write_can_migrate(
    secured_replica_set: ReplicaSet, database_name: str, tmp_path: Path
) -> None:
    collection = secured_replica_set.client[database_name].c
    collection.insert_one({"_id": 1})
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_n.py").write_text("from goaime_migrate import *\noperations = [AddField('c', 'n', 1)]\n")
    settings = Settings(uri=secured_replica_set.uri_for(WRITER), database=database_name, migrations=folder)
    with Migrator(settings) as migrator:
        succeeded(migrator.up())
        assert collection.find_one() == {"_id": 1, "n": 1}
        assert WRITER.password not in repr(migrator.status())
        succeeded(migrator.down())
    assert collection.find_one() == {"_id": 1}
    assert ADMIN.password not in repr(settings)


# --- transforms ------------------------------------------------------------------------------------------------


@each_mode
def test_a_transform_that_raises_names_document_field_and_line_and_can_be_mended(numbers: World) -> None:
    numbers.write("0001_grow.py", grow('d["m"] = d["x"] if d["_id"] == 3 else 1'))
    result = numbers.up()
    error = result.error
    assert isinstance(error, errors.TransformFailed)
    assert (error.code, error.exit_code) == ("GM301", 1)
    assert (error.version, error.id, error.field) == ("0001", 3, "x")
    assert 'd["m"] = d["x"]' in error.detail
    assert "goaime_migrate" not in error.detail
    assert "goaime-migrate up" in error.hint
    assert (result.failed, result.versions, result.documents.changed) == ("0001", (), 2)
    assert ["m" in d for d in numbers.documents("c")] == [True, True, False, False, False]
    assert numbers.states() == ["failed"]

    numbers.change("c", 3, x=5)
    assert succeeded(numbers.up()).versions == ("0001",)
    assert [d["m"] for d in numbers.documents("c")] == [1, 1, 1, 5, 1]


@each_mode
def test_a_file_that_was_corrected_before_any_batch_was_committed_is_simply_taken(numbers: World) -> None:
    numbers.write("0001_grow.py", grow('d["n"] += d["x"]'))
    assert isinstance(refusal(numbers), errors.TransformFailed)
    numbers.write("0001_grow.py", grow())
    assert numbers.status().problems == ()
    succeeded(numbers.up())
    assert values(numbers) == [1000, 1001, 1002, 1003, 1004]


@pytest.fixture
def halfway(numbers: World) -> World:
    """A transform that cannot be applied twice, stopped after its first batch, and its file edited since."""
    numbers.write("0001_grow.py", grow('d["n"] += 1000 if d["_id"] != 2 else d["x"]'))
    assert refusal(numbers).id == 2
    assert values(numbers) == [1000, 1001, 2, 3, 4]
    numbers.write("0001_grow.py", grow('d["n"] += 2000'))
    return numbers


@each_mode
def test_a_file_that_was_edited_halfway_is_refused_with_the_two_ways_on(halfway: World) -> None:
    error = file_problem(halfway, errors.PinnedPassEdited, "GM208")
    assert "goaime-migrate down" in error.hint
    assert "goaime-migrate repair" in error.hint


@each_mode
def test_a_half_whose_file_was_edited_can_be_taken_back(halfway: World) -> None:
    succeeded(halfway.down())
    assert values(halfway) == [0, 1, 2, 3, 4]
    succeeded(halfway.up())
    assert values(halfway) == [2000, 2001, 2002, 2003, 2004]


@each_mode
def test_a_half_whose_file_was_edited_can_go_on_with_the_new_code(halfway: World) -> None:
    with halfway.migrator() as migrator:
        assert migrator.repair(dry_run=True).accepted == ("0001",)
        assert migrator.repair().accepted == ("0001",)
    succeeded(halfway.up())
    assert values(halfway) == [1000, 1001, 2002, 2003, 2004]
    succeeded(halfway.down())
    assert values(halfway) == [0, 1, 2, 3, 4]


@dump
def test_a_half_whose_file_is_gone_can_only_be_taken_back(halfway: World) -> None:
    (halfway.folder / "0001_grow.py").unlink()
    assert isinstance(refusal(halfway), errors.MissingMigration)
    with halfway.migrator() as migrator, pytest.raises(errors.Refused, match="its pass is unfinished"):
        migrator.repair()
    succeeded(halfway.down())
    assert values(halfway) == [0, 1, 2, 3, 4]


@dump
def test_a_version_that_repair_dropped_leaves_the_others_of_its_pass_takeable(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0002_more.py", grow('d["m"] = 1'))
    before = numbers.raws("c")
    numbers.up()
    (numbers.folder / "0002_more.py").unlink()
    with numbers.migrator() as migrator:
        assert migrator.repair().dropped == ("0002",)
    assert numbers.states() == ["applied"]
    succeeded(numbers.down())
    assert numbers.raws("c") == before


BAD_RESULTS = [
    pytest.param("return 5", errors.InvalidResult, None, id="neither None nor a dict"),
    pytest.param('d["n"] = {1, 2}', errors.InvalidResult, "n", id="what BSON cannot hold"),
    pytest.param('d["n"] = 2**70', errors.InvalidResult, "n", id="a number that BSON cannot hold"),
    pytest.param('d["_id"] = str(d["_id"])', errors.IdChanged, "_id", id="a changed _id"),
    pytest.param('del d["_id"]', errors.IdChanged, "_id", id="a removed _id"),
    pytest.param('d["big"] = "x" * 17_000_000', errors.ResultTooLarge, None, id="over 16 MB"),
]


@two
@pytest.mark.parametrize(("body", "kind", "field"), BAD_RESULTS)
def test_a_result_that_cannot_be_stored_is_refused(
    numbers: World, body: str, kind: type[errors.MigrateError], field: str | None
) -> None:
    before = numbers.raws("c")
    numbers.write("0001_grow.py", grow(body))
    error = refusal(numbers)
    assert type(error) is kind
    assert (error.exit_code, error.version, error.id, error.field) == (1, "0001", 0, field)
    assert numbers.raws("c") == before
    assert numbers.states() == ["failed"]


@two
@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param('check=lambda d: ["n: too big"] if d["n"] > 1001 else []', "n", id="check="),
        pytest.param("model=Small", "n", id="model="),
    ],
)
def test_a_result_that_breaks_its_promise_is_refused(numbers: World, options: str, field: str) -> None:
    model = "from pydantic import BaseModel, Field\nclass Small(BaseModel):\n    n: int = Field(le=1001)\n"
    numbers.write("0001_grow.py", grow(options=options))
    path = numbers.folder / "0001_grow.py"
    path.write_text(model + path.read_text())
    error = refusal(numbers)
    assert isinstance(error, errors.ResultBreaksPromise)
    assert (error.id, error.field) == (2, field)
    assert values(numbers) == [1000, 1001, 2, 3, 4]
    succeeded(numbers.down())
    assert values(numbers) == [0, 1, 2, 3, 4]


@two
def test_a_field_that_is_not_declared_is_refused_before_anything_is_written(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write("0001_grow.py", grow('d["m"] = d["n"]', options='fields=["n"]'))
    forecast = numbers.plan().refused
    error = refusal(numbers)
    for refused in (forecast, error):
        assert isinstance(refused, errors.UndeclaredField)
        assert (refused.version, refused.id, refused.field) == ("0001", 0, "m")
    assert numbers.raws("c") == before


@two
def test_the_field_that_is_read_without_being_declared_is_named(numbers: World) -> None:
    numbers.write("0001_grow.py", grow('d["m"] = d.get("n")', options='fields=["m"]'))
    for refused in (numbers.plan().refused, refusal(numbers)):
        assert isinstance(refused, errors.UndeclaredField)
        assert refused.field == "n"


LOOKUP = """
    from goaime_migrate import Lookup, TransformDocuments

    def link(d, users):
        d["users"] = {misuse}

    operations = [TransformDocuments("c", link, users=Lookup("users", key="name"))]
    """


@dump
@pytest.mark.parametrize(("misuse", "what"), [("list(users)", "iterated over"), ("len(users)", "counted")])
def test_misuse_of_a_lookup_is_refused_with_a_hint(numbers: World, misuse: str, what: str) -> None:
    numbers.write("0001_link.py", LOOKUP.format(misuse=misuse))
    error = refusal(numbers)
    assert isinstance(error, errors.TransformFailed)
    assert f"the lookup 'users' cannot be {what}" in error.message
    assert "ask by 'name'" in error.message
    assert misuse in error.detail


@two
def test_warnings_are_counted_with_examples(numbers: World) -> None:
    numbers.write("0001_grow.py", grow('import warnings; warnings.warn(f"odd {d[\'n\'] % 2}"); d["m"] = 1'))
    result = succeeded(numbers.up())
    assert [(w.version, w.message, w.count, w.examples) for w in result.warnings] == [
        ("0001", "odd 0", 3, (0, 2, 4)),
        ("0001", "odd 1", 2, (1, 3)),
    ]
    assert numbers.status().versions[0].warnings == 5


# --- collections -----------------------------------------------------------------------------------------------


@each_mode
def test_a_collection_that_does_not_exist_has_no_documents_and_is_not_made(world: World) -> None:
    world.write("0001_grow.py", grow())
    result = succeeded(world.up())
    assert result.versions == ("0001",)
    assert result.documents.matched == 0
    assert world.catalogue() == {}
    succeeded(world.down())
    assert world.catalogue() == {}


@one_server
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"capped": True, "size": 4096}, "documents of a capped collection cannot grow"),
        ({"timeseries": {"timeField": "at"}}, "time-series documents cannot be replaced"),
        ({"viewOn": "numbers", "pipeline": []}, "a view has no documents of its own"),
    ],
)
def test_what_cannot_be_migrated_one_by_one_is_refused(
    world: World, options: dict[str, Any], reason: str
) -> None:
    with world.client() as client:
        client[world.database].numbers.insert_one({"_id": 1})
        client[world.database].create_collection("c", **options)
    world.write("0001_grow.py", grow())
    assert world.plan().refused is not None
    error = refusal(world)
    assert isinstance(error, errors.MissingCapability)
    assert error.exit_code == 9
    assert reason in error.message
    assert error.hint
    assert world.states() == ["pending"]


@dump
def test_a_view_in_a_dump_is_refused(world: World) -> None:
    world.insert("numbers", DOCUMENTS)
    (world.dump / "c.metadata.json").write_text(
        '{"options": {"viewOn": "numbers", "pipeline": []}, "indexes": [], "type": "view"}'
    )
    world.write("0001_grow.py", grow())
    error = refusal(world)
    assert isinstance(error, errors.MissingCapability)
    assert world.states() == ["pending"]


@each_mode
@pytest.mark.parametrize(
    ("body", "first", "second"),
    [
        pytest.param('d["n"] = "x"', 0, 1, id="two in one batch"),
        pytest.param('d["n"] = max(d["n"], 3)', 3, 0, id="one beyond the batch"),
        pytest.param('d["n"] = None', 0, 1, id="two without a value"),
    ],
)
def test_a_unique_index_that_refuses_a_result_stops_the_run_and_names_both(
    numbers: World, body: str, first: int, second: int
) -> None:
    numbers.write(
        "0001_index.py", 'from goaime_migrate import *\noperations = [CreateIndex("c", "n", unique=True)]'
    )
    succeeded(numbers.up())
    before = numbers.raws("c")
    numbers.write("0002_same.py", grow(body))
    error = refusal(numbers)
    assert isinstance(error, errors.DuplicateKey)
    assert (error.exit_code, error.version) == (1, "0002")
    assert (
        f"the documents {first} and {second} would have the same key in the unique index 'n_1'"
        in error.message
    )
    assert error.id == second
    assert len(numbers.documents("c")) == 5
    if (
        numbers.kind != Kind.STANDALONE
    ):  # there the documents before it in its batch are written, and journaled
        assert numbers.raws("c") == before
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@servers
def test_a_validator_that_rejects_a_result_stops_the_run(numbers: World) -> None:
    numbers.write(
        "0001_validator.py",
        'from goaime_migrate import *\noperations = [SetValidator("c", {"properties": {"n": {"maximum": 1002}}})]',
    )
    numbers.write("0002_grow.py", grow())
    error = refusal(numbers)
    assert isinstance(error, errors.ValidatorRejected)
    assert (error.exit_code, error.version, error.id) == (1, "0002", 3)
    assert "maximum" in error.detail
    succeeded(numbers.down())
    assert values(numbers) == [0, 1, 2, 3, 4]


# --- the records, and the dump ---------------------------------------------------------------------------------


@two
@pytest.mark.parametrize(
    "collection", ["schema_versions", "schema_versions_progress", "schema_versions_journal"]
)
def test_records_of_a_newer_release_are_refused(numbers: World, collection: str) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.up()
    for record in numbers.documents(collection):
        numbers.change(collection, record["_id"], format=99)
    before = numbers.raws("c")
    error = refusal(numbers, down=True)
    assert isinstance(error, errors.NewerFormat)
    assert error.exit_code == 9
    assert "upgrade" in error.hint
    assert numbers.raws("c") == before


@dump
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-3], id="truncated"),
        pytest.param(lambda data: data + b"\x05", id="a byte too many"),
        pytest.param(lambda data: b"\xff" * len(data), id="no BSON"),
    ],
)
def test_a_damaged_dump_file_is_refused_and_left_as_it_is(numbers: World, damage: Any) -> None:
    numbers.write("0001_grow.py", grow())
    path = numbers.dump / "c.bson"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    error = refusal(numbers)
    assert isinstance(error, errors.DumpUnreadable)
    assert error.exit_code == 2
    assert "c.bson" in error.message
    assert path.read_bytes() == before


@dump
def test_a_dump_that_does_not_exist_is_refused_and_not_made(world: World, tmp_path: Path) -> None:
    world.uri = f"dump:{tmp_path / 'nowhere'}"
    error = refusal(world)
    assert isinstance(error, errors.FolderMissing)
    assert error.exit_code == 2
    assert not (tmp_path / "nowhere").exists()


@dump
def test_a_missing_migrations_folder_is_refused_and_not_made(world: World, tmp_path: Path) -> None:
    world.folder = tmp_path / "nowhere"
    error = refusal(world)
    assert isinstance(error, errors.FolderMissing)
    assert not world.folder.exists()


@pytest.fixture
def collided(numbers: World) -> World:
    """A transform that must not be applied twice, stopped by a unique index within its first batch."""
    numbers.write(
        "0001_index.py",
        'from goaime_migrate import *\noperations = [CreateIndex("c", "k", unique=True, sparse=True)]',
    )
    numbers.write("0002_grow.py", grow('d["n"] += 1000; d["k"] = d.get("k", 1)'))
    assert isinstance(refusal(numbers), errors.DuplicateKey)
    _drop_the_index(numbers)
    return numbers


def _drop_the_index(world: World) -> None:
    """What an administrator does."""
    if world.embedded:
        (world.dump / "c.metadata.json").write_text('{"options": {}, "indexes": []}')
    else:
        with world.client() as client:
            client[world.database].c.drop_index("k_1")


@each_mode
def test_a_batch_that_was_refused_halfway_is_not_applied_twice(collided: World) -> None:
    succeeded(collided.up())
    assert values(collided) == [1000, 1001, 1002, 1003, 1004]
    succeeded(collided.down())
    assert values(collided) == [0, 1, 2, 3, 4]


@each_mode
def test_a_batch_that_was_refused_halfway_is_not_forgotten_for_an_edited_file(collided: World) -> None:
    collided.write("0002_grow.py", grow('d["n"] += 2000; d["k"] = d.get("k", 1)'))
    halfway = 1000 in values(collided)
    assert halfway == (collided.kind == Kind.STANDALONE)
    if halfway:
        assert isinstance(refusal(collided), errors.PinnedPassEdited)
        succeeded(collided.down())
    assert values(collided) == [0, 1, 2, 3, 4]
    succeeded(collided.up())
    assert values(collided) == [2000, 2001, 2002, 2003, 2004]
