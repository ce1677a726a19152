"""Bad input: refused with a code, the place and the next command, and nothing is lost."""

from __future__ import annotations

import socket
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from pymongo.errors import InvalidOperation

from goaime_migrate import config, errors, redaction
from goaime_migrate.backends.server import connect
from goaime_migrate.backends.server.client import SharedClient
from goaime_migrate.config import Settings
from goaime_migrate.migrator import Migrator
from tests.integration.engines import dump, each_mode, one_server, servers, two
from tests.servers import ADMIN, READER, WRITER, Kind, ReplicaSet, User
from tests.world import World, succeeded

GROW = """
    from goaime_migrate import TransformDocuments

    def grow(d):
        {body}

    operations = [TransformDocuments("c", grow{options})]
    """
DOCUMENTS = [{"_id": i, "n": i} for i in range(5)]


def grow(body: str = 'd["n"] += 1000', options: str = "") -> str:
    return GROW.format(body=body, options=f", {options}" if options else "")


@pytest.fixture
def numbers(world: World) -> World:
    """Five documents, and batches of two."""
    world.insert("c", DOCUMENTS)
    world.settings["batch_size"] = 2
    return world


def refusal(world: World, *, down: bool = False) -> errors.MigrateError:
    """The error of a run, raised or returned."""
    try:
        result = (world.down if down else world.up)()
    except errors.MigrateError as error:
        return error
    assert result.error is not None
    return result.error


def values(world: World) -> list[Any]:
    return [d.get("n") for d in world.documents("c")]


# --- files -----------------------------------------------------------------------------------------------------


def file_problem(world: World, kind: type[errors.HistoryError], code: str) -> errors.MigrateError:
    """`up` is refused, `status` lists it, and neither writes anything."""
    before = world.raws("c"), world.raws("schema_versions")
    error = refusal(world)
    assert type(error) is kind
    assert (error.code, error.exit_code) == (code, 4)
    assert error.hint
    assert code in [p.code for p in world.status().problems]
    assert (world.raws("c"), world.raws("schema_versions")) == before
    return error


@dump
def test_a_syntax_error_is_refused_with_file_and_line(numbers: World) -> None:
    numbers.write("0001_grow.py", "def grow(d)\n    pass\n")
    error = file_problem(numbers, errors.LoadFailed, "GM206")
    assert error.message == "0001_grow.py, line 1: expected ':'"


@dump
def test_an_import_that_fails_is_refused_with_file_and_line(numbers: World) -> None:
    numbers.write("0001_grow.py", "import os\nimport nowhere\n")
    error = file_problem(numbers, errors.LoadFailed, "GM206")
    assert error.message.startswith("0001_grow.py, line 2: ModuleNotFoundError")


@dump
def test_two_files_with_one_number_are_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0001_other.py", grow())
    error = file_problem(numbers, errors.DuplicateVersion, "GM203")
    assert "0001_grow.py, 0001_other.py" in error.message


@dump
def test_a_gap_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0003_more.py", grow())
    assert file_problem(numbers, errors.VersionGap, "GM204").version == "0002"


@two
def test_an_edited_file_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.up()
    numbers.write("0001_grow.py", grow('d["n"] += 1'))
    error = file_problem(numbers, errors.EditedMigration, "GM201")
    assert "goaime-migrate repair" in error.hint


@dump
def test_a_comment_is_no_edit(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.up()
    numbers.write("0001_grow.py", grow() + "\n    # said more clearly\n")
    assert succeeded(numbers.up()).message == "already at 0001"


@dump
def test_a_removed_file_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.write("0002_more.py", grow('d["m"] = 1'))
    numbers.up()
    (numbers.folder / "0002_more.py").unlink()
    assert file_problem(numbers, errors.MissingMigration, "GM202").version == "0002"


@dump
def test_a_file_added_below_the_current_version_is_refused(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    numbers.up()
    (numbers.folder / "0001_grow.py").rename(numbers.folder / "0002_grow.py")
    numbers.write("0001_new.py", grow('d["m"] = 1'))
    numbers.change("schema_versions", "0001", name="grow")
    numbers.put("schema_versions", _renumbered(numbers, "0002"))
    numbers.remove("schema_versions", "0001")
    error = file_problem(numbers, errors.OutOfOrder, "GM205")
    assert error.version == "0001"


def _renumbered(world: World, version: str) -> bytes:
    return encode({**world.documents("schema_versions")[0], "_id": version})


@dump
def test_a_keyword_that_is_no_lookup_is_refused_at_load(numbers: World) -> None:
    numbers.write("0001_grow.py", grow(options="batch=5"))
    error = file_problem(numbers, errors.InvalidMigration, "GM207")
    assert error.message.startswith("0001_grow.py, line 7: batch= is neither an option nor a Lookup")


# --- configuration and servers ---------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "alembic-style.ini").write_text("[goaime-migrate]\nuri = dump:x\nmigratons = here\n")
    with pytest.raises(errors.InvalidConfiguration, match="unknown key migratons") as caught:
        config.load(config=None, env=None, overrides={}, cwd=tmp_path, environ={})
    assert caught.value.exit_code == 2
    assert caught.value.hint == "did you mean migrations?"


def opened(uri: str, tmp_path: Path, **settings: Any) -> errors.MigrateError:
    """The error of `status`, and of `up`, at this address."""
    (tmp_path / "migrations").mkdir(exist_ok=True)
    (tmp_path / "migrations" / "0001_n.py").write_text(
        "from goaime_migrate import AddField\noperations = [AddField('c', 'n', 1)]\n"
    )
    values = Settings(
        uri=uri, migrations=tmp_path / "migrations", lock_timeout=1, **{"database": "refused", **settings}
    )
    with Migrator(values) as migrator, pytest.raises(errors.MigrateError) as reading:
        migrator.status()
    with Migrator(values) as migrator, pytest.raises(errors.MigrateError) as writing:
        migrator.up()
    assert type(reading.value) is type(writing.value)
    return writing.value


def said(error: errors.MigrateError) -> str:
    """Everything that an error shows, its traceback included."""
    return f"{error.hint} {error.detail} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://user:secret@hidden@host/x", "has more than one @"),
        ("mongodb://user:sec%ret@host/x", "Username and password must be escaped"),
        ("mongodb://user:secret/hidden@host/x", "is not percent-encoded"),
        ("mongodb://user:1234/hidden@host/x", "of the user name or the password is not percent-encoded"),
        ("mongodb://user:secret?hidden@host/x", "of the user name or the password is not percent-encoded"),
        ("mongodb://host/x?replicaset=rs&bogus=secret", "'bogus' is no option of one"),
        ("mongodb://host/x?tlsCAFile=/nowhere/secure.pem", "tlsCAFile cannot be read: /nowhere/secure.pem"),
        ("mongodb://user:secret@host:port/x", "Port contains non-digit characters"),
        ("mongodb://host:99999/x", "Port must be an integer between 0 and 65535"),
        ("mongodb:///x", "Empty host"),
        ("mongodb://user:secret@host/x?replicaset=rs&replicSet=rs", "'replicSet' is no option of one"),
    ],
)
def test_a_malformed_uri_is_refused_without_its_password(uri: str, reason: str, tmp_path: Path) -> None:
    error = opened(uri, tmp_path)
    assert isinstance(error, errors.InvalidUri)
    assert error.exit_code == 2
    assert reason in error.message
    assert "mongodb://user:password@host:port/database" in error.hint
    assert "secret" not in said(error)
    assert "hidden" not in said(error)


def test_a_uri_without_a_database_says_what_is_missing(tmp_path: Path) -> None:
    error = opened("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", tmp_path, database=None)
    assert isinstance(error, errors.InvalidConfiguration)
    assert "no database is named" in error.message


@pytest.mark.parametrize("database", [None, "c"])
def test_what_cannot_be_opened_is_closed_again(
    database: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SharedClient] = []

    def noted(*arguments: Any, **options: Any) -> SharedClient:
        made.append(SharedClient(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(connect, "SharedClient", noted)
    error = opened("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", tmp_path, database=database)
    assert error.exit_code in (2, 8)
    assert made
    for client in made:
        with pytest.raises(InvalidOperation, match="after close"):
            client.admin.command("ping")


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


URI = "mongodb://ann:s3cr%40t%2Fword@h/"
SPOKEN = ["mongodb://bob:other-secret@h/", "the password s3cr@t/word", "the password s3cr%40t%2Fword"]
SECRETS = ["other-secret", "s3cr@t", "s3cr%40t"]


@pytest.fixture
def _one_that_is_known() -> None:
    redaction.hide(URI)


def recorded(world: World) -> str:
    """All that the tool keeps in the database, but the journal: that is the documents as they were."""
    kept = ["schema_versions", "schema_versions_log", "schema_versions_progress", "schema_versions_lock"]
    return repr([world.documents(name) for name in kept])


@two
@pytest.mark.usefixtures("_one_that_is_known")
@pytest.mark.parametrize("spoken", SPOKEN)
@pytest.mark.parametrize(
    "source",
    [
        grow('raise ValueError("at {spoken}")'),
        grow('warnings.warn("at {spoken}")').replace("    from", "    import warnings\n    from", 1),
        'def up(db):\n    raise ValueError("at {spoken}")\n',
        'from goaime_migrate import AddField\noperations = [AddField("c", "z", "at {spoken}")]\n',
        '"""It is at {spoken}"""\noperations = []\n',
        "def verify(db):\n    return ['at {spoken}']\noperations = []\n",
        grow("pass", 'check=lambda d: ["at {spoken}"]'),
    ],
)
def test_no_password_of_what_a_migration_says_is_kept_or_returned(
    numbers: World, source: str, spoken: str
) -> None:
    numbers.write("0001_speaks.py", source.replace("{spoken}", spoken))
    result = numbers.up()
    assert "at " in recorded(numbers) or "at " in str(result.error)
    said_and_kept = [recorded(numbers), repr(result), repr(result.error), numbers.status()]
    if result.error is not None:
        said_and_kept += [result.error.detail, result.error.hint, str(result.error)]
    for secret in SECRETS:
        assert secret not in repr(said_and_kept)


@dump
@pytest.mark.usefixtures("_one_that_is_known")
def test_an_operation_whose_text_is_masked_is_recognised_again(numbers: World) -> None:
    source = """
        from goaime_migrate import AddField, CreateIndex, RenameCollection  # allow: collection-missing because it fails
        operations = [AddField("c", "z", "mongodb://bob:other-secret@h/"), CreateIndex("c", "s3cr@t/word"){more}]
        """
    numbers.write("0001_speaks.py", source.replace("{more}", ", RenameCollection('nope', 'x')"))
    assert numbers.up().error is not None
    numbers.write("0001_speaks.py", source.replace("{more}", ""))
    with numbers.migrator() as migrator:
        assert migrator.repair().accepted == ("0001",)
    succeeded(numbers.up())


BAD_FILTERS = [
    "{'$or': [{'$and': []}]}",
    "{'$foo': 1}",
    "{'n': {'$foo': 1}}",
    "{'$and': 1}",
    "{'n': {'$in': 1}}",
]


@each_mode
@pytest.mark.parametrize("where", BAD_FILTERS)
def test_a_filter_that_is_none_is_refused_alike_everywhere(numbers: World, where: str) -> None:
    before = numbers.raws("c")
    path = numbers.write("0001_grow.py", grow(options=f"where={where}"))
    planned = numbers.plan().refused
    error = numbers.up().error
    for found in (planned, error):
        assert isinstance(found, errors.OperationFailed)
        assert found.version == "0001"
        assert found.message.startswith("the where= of 0001_grow.py is no filter: ")
        assert "_id" not in found.message
        assert found.hint.startswith(f"correct {path}, then: goaime-migrate ")
    assert numbers.states() == ["failed"]
    assert numbers.raws("c") == before
    numbers.write("0001_grow.py", grow())
    succeeded(numbers.up())


@each_mode
@pytest.mark.parametrize("where", [*BAD_FILTERS, "{'n': {1}}", "{'n': 2**70}"])
def test_a_canary_that_is_no_filter_is_a_mistake_in_the_command(numbers: World, where: str) -> None:
    numbers.write("0001_grow.py", grow(options="where={'n': {'$lt': 9}}"))
    before = numbers.raws("c")
    canary = eval(where)
    planned = numbers.plan(where=canary).refused
    error = numbers.up(where=canary).error
    for found in (planned, error):
        assert isinstance(found, errors.UsageError)
        assert found.exit_code == 2
        assert "$and': [{" not in found.message
    assert numbers.states() == ["pending"]
    assert numbers.raws("c") == before


@each_mode
def test_a_filter_of_a_pipeline_and_of_a_collection_that_is_not_there(world: World) -> None:
    source = "from goaime_migrate import *\noperations = [UpdateDocuments('c', [{'$unset': 'n'}], where={'$foo': 1})]"
    world.write("0001_unset.py", source)
    for found in (world.plan().refused, world.up().error):
        assert isinstance(found, errors.OperationFailed)
        assert "0001_unset.py" in found.message


@dump
def test_a_file_that_does_not_load_is_pending_under_its_name(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    succeeded(numbers.up())
    numbers.write("0002_broken.py", "import nowhere\n")
    numbers.write("0003_more_of_it.py", "operations = 1")
    status = numbers.status()
    assert [(v.version, v.name, str(v.state)) for v in status.versions] == [
        ("0001", "grow", "applied"),
        ("0002", "broken", "pending"),
        ("0003", "more_of_it", "pending"),
    ]
    assert status.pending == ("0002", "0003")
    assert (status.current, status.head) == ("0001", "0003")
    assert [p.version for p in status.problems] == ["0002", "0003"]
    with pytest.raises(errors.LoadFailed):
        numbers.up()
    succeeded(numbers.down())
    numbers.write("0001_grow.py", "if")
    assert numbers.status().pending == ("0001", "0002", "0003")


@dump
def test_an_applied_file_that_does_not_load_any_more_is_still_applied(numbers: World) -> None:
    numbers.write("0001_grow.py", grow())
    succeeded(numbers.up())
    numbers.write("0001_grow.py", "if")
    status = numbers.status()
    assert (status.pending, status.current, status.head) == ((), "0001", "0001")


@dump
def test_lint_names_a_superseded_version_that_does_not_exist(world: World) -> None:
    world.write("0001_one.py", "if")
    world.write("0002_two.py", "operations = []")
    world.write("0005_five.py", "supersedes = ['0001', '0002', '0004']\noperations = []")
    with world.migrator() as migrator:
        found = [p.message for p in migrator.lint().problems if "supersedes" in p.message]
    assert found == ["0005_five.py: supersedes names 0004, and there is no such file"]
