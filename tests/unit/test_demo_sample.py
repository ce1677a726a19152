"""The sample database: always the same, odd in every known way, and migrated without refusal."""

import json
from pathlib import Path
from typing import Any

import bson
import mongomock
import pytest

from tests.unit.goaime import check_promises, migrated, sample

Document = dict[str, Any]


@pytest.fixture(scope="module")
def database() -> dict[str, list[Document]]:
    """The sample as it comes by default."""
    return {name: list(documents) for name, documents in sample.documents().items()}


def encoded(collections: dict[str, Any]) -> dict[str, list[bytes]]:
    """The very bytes, as documents that are equal may still differ in type or order."""
    return {
        name: [bson.encode(document) for document in documents] for name, documents in collections.items()
    }


def migrate(database: dict[str, list[Document]]) -> list[Document]:
    """All sessions after the four migrations."""
    users = {user["username"]: user for user in reversed(database["users"])}
    problems = {problem["_id"]: problem for problem in database["problems"]}
    return [migrated(session, users, problems) for session in database["sessions"]]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert encoded(sample.documents(120, seed=7)) == encoded(sample.documents(120, seed=7))


def test_another_seed_gives_other_sessions() -> None:
    assert (
        encoded(sample.documents(50, seed=7))["sessions"][1:]
        != encoded(sample.documents(50, seed=8))["sessions"][1:]
    )


def test_a_large_sample_begins_as_a_small_one(database: dict[str, list[Document]]) -> None:
    small = encoded(sample.documents(120))["sessions"]
    assert small == encoded(database)["sessions"][:120]


@pytest.mark.parametrize("count", [0, 1, 2, 400])
def test_there_are_as_many_sessions_as_asked_for(count: int) -> None:
    assert len(list(sample.documents(count)["sessions"])) == count


@pytest.mark.parametrize("collection", ["users", "problems", "sessions"])
def test_ids_are_unique(database: dict[str, list[Document]], collection: str) -> None:
    assert len({document["_id"] for document in database[collection]}) == len(database[collection])


def test_the_reference_case_is_in_it(database: dict[str, list[Document]]) -> None:
    assert sample.reference_session() in database["sessions"]
    assert all(problem in database["problems"] for problem in sample.reference_problems())
    assert not any(user["username"] == "goAmy" for user in database["users"])


def test_the_reference_session_adds_up() -> None:
    session = sample.reference_session()
    attempts = session["problems_attempted"]
    assert sum(attempt["time_spent_ms"] for attempt in attempts) == session["total_time_ms"] == 7426
    assert sum(attempt["is_correct"] for attempt in attempts) == session["score"] == 3
    assert len(attempts) == session["total_attempted"] == 25


def test_some_users_share_a_name(database: dict[str, list[Document]]) -> None:
    names = [user["username"] for user in database["users"]]
    assert len(set(names)) < len(names)


def test_every_session_can_be_migrated(database: dict[str, list[Document]]) -> None:
    for session in migrate(database):
        check_promises(bson.decode(bson.encode(session)))


def test_some_sessions_have_the_target_shape_already_and_only_they_stay_as_they_are(
    database: dict[str, list[Document]],
) -> None:
    results = map(bson.encode, migrate(database))
    unchanged = [
        raw for raw, result in zip(encoded(database)["sessions"], results, strict=True) if raw == result
    ]
    assert len(unchanged) == 4
    assert all(bson.decode(raw)["mode"] == "practice" for raw in unchanged)


def test_common_sessions_have_the_size_that_was_measured(database: dict[str, list[Document]]) -> None:
    common = [index for index in range(1, 400) if index % 5]
    sizes = [len(raw) for raw in encoded(database)["sessions"]]
    grown = [len(bson.encode(session)) for session in migrate(database)]
    assert 5_300 < sum(sizes[index] for index in common) / len(common) < 6_200
    assert 9_800 < sum(grown[index] for index in common) / len(common) < 11_000


@pytest.mark.parametrize("oddity", sample.ODDITIES, ids=lambda oddity: str(oddity.__name__))
def test_every_oddity_changes_a_common_session(oddity: Any) -> None:
    session = sample.reference_session()
    oddity(session, sample.Random(1))
    assert bson.encode(session) != bson.encode(sample.reference_session())


def test_a_dump_has_the_documents_as_they_are(tmp_path: Path) -> None:
    sample.main([str(tmp_path / "dump"), "--sessions", "30"])
    folder = tmp_path / "dump" / "goaime"
    for name, documents in encoded(sample.documents(30)).items():
        assert (folder / f"{name}.bson").read_bytes() == b"".join(documents)
        assert len(bson.decode_all((folder / f"{name}.bson").read_bytes())) == len(documents)


def test_a_dump_has_the_metadata_that_mongorestore_reads(tmp_path: Path) -> None:
    sample.main([str(tmp_path), "--sessions", "1", "--database", "other"])
    metadata = json.loads((tmp_path / "other" / "sessions.metadata.json").read_text())
    assert metadata.pop("uuid")
    assert metadata == {
        "indexes": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}],
        "collectionName": "sessions",
        "type": "collection",
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client of a server in memory, for the test and for the sample alike."""
    client: Any = mongomock.MongoClient()
    monkeypatch.setattr(sample, "MongoClient", lambda _uri: client)
    return client


def test_a_server_gets_the_documents_in_batches(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BATCH", 7)
    sample.main(["--uri", "mongodb://localhost", "--sessions", "20"])
    stored = server["goaime"]["sessions"].find()
    assert list(stored) == list(sample.documents(20)["sessions"])


def test_a_collection_with_documents_is_not_touched(server: Any) -> None:
    server["goaime"]["problems"].insert_one({"_id": 1})
    with pytest.raises(SystemExit, match="goaime already has problems: choose another --database"):
        sample.main(["--uri", "mongodb://localhost", "--sessions", "1"])
    assert server["goaime"]["users"].count_documents({}) == 0


@pytest.mark.parametrize("arguments", [[], ["dump", "--uri", "mongodb://localhost"]])
def test_there_is_one_place_to_write_to(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sample.main(arguments)
    assert "--uri" in capsys.readouterr().err
