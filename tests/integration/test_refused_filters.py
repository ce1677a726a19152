"""Filters, and what a migration says of itself: refused alike everywhere, masked where it is told."""

from __future__ import annotations

import pytest

from goaime_migrate import errors, redaction
from tests.integration.engines import dump, each_mode, two
from tests.integration.refused import grow
from tests.world import World, succeeded

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
