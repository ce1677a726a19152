"""Files whose numbers changed after they had run: every way that is advised, followed to its end on real documents.

Each migration counts how often it has changed a document, so that one that is lost or run twice shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from goaime_migrate.errors import MigrateError, Refused, Renumbered
from goaime_migrate.results import RunResult
from tests.integration.engines import each_mode, two
from tests.world import World, succeeded

COUNTS = """
from goaime_migrate import TransformDocuments

def {name}(document):
    {guard}
    document["{name}"] = document.get("{name}", 0) + 1

operations = [TransformDocuments("things", {name})]
"""
UNIQUE = """
# allow: unique-duplicates because it has to fail
from goaime_migrate import AddField, CreateIndex

operations = [CreateIndex("things", "group", unique=True)]
"""
FIX = """
def up(db):
    for thing in db.things.find():
        db.things.update_one({"_id": thing["_id"]}, {"$set": {"group": thing["_id"]}})
"""
NOTHING = "operations = []\n"


def counting(name: str, guard: str = "pass") -> str:
    return COUNTS.format(name=name, guard=guard)


def things(world: World, **fields: int) -> list[dict[str, int]]:
    return [{"_id": n, "group": n // 2, **fields} for n in range(4)]


def start(world: World, *names: str) -> None:
    """Documents, and these migrations applied."""
    world.insert("things", things(world))
    for number, name in enumerate(names, 1):
        world.write(f"{number:04d}_{name}.py", counting(name))
    succeeded(world.up())


def move(world: World, *renames: tuple[str, str]) -> None:
    """Rename files, all at once."""
    texts = {new: (world.folder / old).read_text() for old, new in renames}
    for old, _ in renames:
        (world.folder / old).unlink()
    for new, text in texts.items():
        (world.folder / new).write_text(text)


def refused(world: World) -> MigrateError:
    with pytest.raises(MigrateError) as caught:
        world.up()
    return caught.value


def repaired(world: World) -> Sequence[tuple[str, str]]:
    with world.migrator() as migrator:
        planned, result = migrator.repair(dry_run=True), migrator.repair()
        assert planned == result
        assert migrator.repair().empty
    return tuple((each.before, each.now) for each in result.renumbered)


def reverted(world: World, target: str | None = None) -> RunResult:
    return succeeded(world.down(target))


def merged(world: World) -> None:
    """0001_base and 0002_left were applied; then another branch's 0002_right came in between."""
    start(world, "base", "left")
    move(world, ("0002_left.py", "0003_left.py"))
    world.write("0002_right.py", counting("right"))


@each_mode
def test_a_merge_is_told_as_what_it_is_and_nothing_runs(world: World) -> None:
    merged(world)
    error = refused(world)
    assert isinstance(error, Renumbered)
    assert (error.version, error.exit_code) == ("0002", 4)
    assert error.message == (
        "0002 was applied here as 0002_left, which is 0003_left.py now; "
        "0002_right.py is another migration, which has never run here"
    )
    assert error.hint == (
        "let what has run keep its number: rename 0003_left.py to 0002_left.py, 0002_right.py to 0003_right.py; "
        "or take back what has run: goaime-migrate down, after which all is applied in its new order"
    )
    with pytest.raises(Refused) as caught, world.migrator() as migrator:
        migrator.repair()
    assert caught.value.hint == error.hint
    assert world.documents("things") == things(world, base=1, left=1)


@two
def test_after_a_merge_what_has_run_can_keep_its_number(world: World) -> None:
    merged(world)
    move(world, ("0003_left.py", "0002_left.py"), ("0002_right.py", "0003_right.py"))
    assert succeeded(world.up()).versions == ("0003",)
    assert world.documents("things") == things(world, base=1, left=1, right=1)


@each_mode
def test_after_a_merge_what_has_run_can_be_taken_back(world: World) -> None:
    merged(world)
    assert reverted(world).versions == ("0002",)
    assert world.documents("things") == things(world, base=1)
    assert succeeded(world.up()).versions == ("0002", "0003")
    assert world.documents("things") == things(world, base=1, right=1, left=1)


@two
def test_several_that_were_renumbered_by_a_merge_are_told_together(world: World) -> None:
    start(world, "base", "left", "more")
    move(world, ("0002_left.py", "0003_left.py"), ("0003_more.py", "0004_more.py"))
    world.write("0002_right.py", counting("right"))
    world.write("0005_next.py", counting("next"))
    problems = world.status().problems
    assert [(p.code, p.version) for p in problems] == [("GM211", "0002"), ("GM211", "0003")]
    assert "0003_left.py is what has run as 0002_left" in problems[1].message
    assert len({p.hint for p in problems}) == 1
    assert (
        "rename 0003_left.py to 0002_left.py, 0004_more.py to 0003_more.py, 0002_right.py to 0004_right.py"
        in problems[0].hint
    )
    assert "goaime-migrate down 0001" in problems[0].hint
    move(
        world,
        ("0003_left.py", "0002_left.py"),
        ("0004_more.py", "0003_more.py"),
        ("0002_right.py", "0004_right.py"),
    )
    assert succeeded(world.up()).versions == ("0004", "0005")
    assert world.documents("things") == things(world, base=1, left=1, more=1, right=1, next=1)


def renumbered(world: World) -> None:
    """Two that were applied as one pass, with a number more in between that does nothing."""
    start(world, "base", "left", "more")
    move(world, ("0002_left.py", "0003_left.py"), ("0003_more.py", "0004_more.py"))
    world.write("0002_nothing.py", NOTHING)


@each_mode
def test_records_follow_files_where_the_order_stays(world: World) -> None:
    renumbered(world)
    assert "let the records follow the files: goaime-migrate repair" in refused(world).hint
    assert repaired(world) == (("0002", "0003"), ("0003", "0004"))
    assert world.status().problems == ()
    assert succeeded(world.up()).versions == ("0002",)
    assert world.documents("things") == things(world, base=1, left=1, more=1)
    assert reverted(world, "0003").versions == ("0004",)
    assert world.documents("things") == things(world, base=1, left=1)
    assert set(reverted(world, "base").versions) == {"0003", "0002", "0001"}
    assert world.documents("things") == things(world)
    assert succeeded(world.up()).versions == ("0001", "0002", "0003", "0004")
    assert world.documents("things") == things(world, base=1, left=1, more=1)


@two
def test_a_number_that_became_free_is_followed_downwards_too(world: World) -> None:
    start(world, "base", "left", "more")
    reverted(world, "0001")
    (world.folder / "0002_left.py").write_text(NOTHING)
    succeeded(world.up())
    (world.folder / "0002_left.py").unlink()
    move(world, ("0003_more.py", "0002_more.py"))
    assert [p.code for p in world.status().problems] == ["GM211", "GM211"]
    assert "no file has its code" in world.status().problems[0].message
    with pytest.raises(Refused), world.migrator() as migrator:
        migrator.repair()
    assert reverted(world, "0001").versions == ("0003", "0002")
    assert succeeded(world.up()).versions == ("0002",)
    assert world.documents("things") == things(world, base=1, more=1)


@two
def test_a_file_that_left_a_gap_behind_is_followed(world: World) -> None:
    start(world, "base", "left")
    move(world, ("0002_left.py", "0003_left.py"))
    error = refused(world)
    assert error.message == "0002 was applied here as 0002_left, which is 0003_left.py now"
    assert repaired(world) == (("0002", "0003"),)
    assert succeeded(world.up()).versions == ()
    assert reverted(world).versions == ("0003",)
    assert world.documents("things") == things(world, base=1)


@two
def test_a_file_that_was_only_renamed_is_the_same_migration(world: World) -> None:
    start(world, "base", "left")
    move(world, ("0002_left.py", "0002_better.py"))
    assert world.status().problems == ()
    assert succeeded(world.up()).versions == ()
    assert reverted(world).versions == ("0002",)
    assert world.documents("things") == things(world, base=1)


@two
def test_swapped_numbers_are_swapped_back_or_taken_back(world: World) -> None:
    start(world, "left", "right")
    move(world, ("0001_left.py", "0002_left.py"), ("0002_right.py", "0001_right.py"))
    error = refused(world)
    assert "rename 0002_left.py to 0001_left.py, 0001_right.py to 0002_right.py" in error.hint
    assert "repair" not in error.hint
    assert "goaime-migrate down base" in error.hint
    assert reverted(world, "base").versions == ("0002", "0001")
    assert world.documents("things") == things(world)
    succeeded(world.up())
    assert world.documents("things") == things(world, right=1, left=1)


@two
def test_one_that_was_renumbered_and_edited_at_once_is_not_followed(world: World) -> None:
    start(world, "base", "left")
    move(world, ("0002_left.py", "0003_left.py"))
    path = world.folder / "0003_left.py"
    code = path.read_text()
    path.write_text(code.replace("+ 1", "+ 2"))
    error = refused(world)
    assert isinstance(error, Renumbered)
    assert "0003_left.py has its name, but other code" in error.message
    assert "undo the edit of 0003_left.py" in error.hint
    with pytest.raises(Refused), world.migrator() as migrator:
        migrator.repair()
    path.write_text(code)
    assert repaired(world) == (("0002", "0003"),)
    assert succeeded(world.up()).versions == ()
    assert world.documents("things") == things(world, base=1, left=1)


@two
def test_one_that_was_renamed_and_edited_gets_its_name_back_or_is_taken_back(world: World) -> None:
    start(world, "base", "left")
    (world.folder / "0002_left.py").unlink()
    path = world.write("0002_better.py", counting("better"))
    error = refused(world)
    assert "no file has its code; 0002_better.py is another migration" in error.message
    assert "restore 0002_left.py, and give 0002_better.py the number 0003" in error.hint
    assert "records = NAME" in error.hint
    path.rename(world.folder / "0002_left.py")
    assert refused(world).code == "GM201"
    (world.folder / "0002_left.py").rename(path)
    # Both were one pass: without the code of one nothing but the whole can be taken back.
    assert "goaime-migrate down base" in error.hint
    assert reverted(world, "base").versions == ("0002", "0001")
    succeeded(world.up())
    assert world.documents("things") == things(world, base=1, better=1)


@two
def test_the_records_of_another_project_are_never_dropped(world: World, tmp_path: Path) -> None:
    start(world, "users", "accounts", "rights")
    world.folder = tmp_path / "other"
    world.write("0001_orders.py", counting("orders"))
    problems = world.status().problems
    assert [p.code for p in problems] == ["GM211", "GM202", "GM202"]
    assert "records = NAME" in problems[0].hint
    assert not any("repair" in p.hint for p in problems)
    with pytest.raises(Refused), world.migrator() as migrator:
        migrator.repair()
    assert world.documents("things") == things(world, users=1, accounts=1, rights=1)


@each_mode
def test_a_failed_version_of_which_nothing_is_in_effect_makes_room_for_another(world: World) -> None:
    world.insert("things", things(world))
    world.write("0001_unique.py", UNIQUE)
    assert world.up().failed == "0001"
    move(world, ("0001_unique.py", "0002_unique.py"))
    world.write("0001_fix.py", FIX)
    assert succeeded(world.up()).versions == ("0001", "0002")
    assert [d["group"] for d in world.documents("things")] == [0, 1, 2, 3]
    assert {index["name"] for index in world.catalogue()["things"][1]} >= {"group_1"}


@each_mode
def test_a_failed_version_that_got_another_one_before_it_is_taken_back_first(world: World) -> None:
    world.insert("things", things(world))
    world.write("0001_unique.py", UNIQUE.replace("[Cr", "[AddField('things', 'new', 1), Cr"))
    assert world.up().failed == "0001"
    move(world, ("0001_unique.py", "0002_unique.py"))
    world.write("0001_fix.py", FIX)
    error = refused(world)
    assert error.message == (
        "0001 is failed here as 0001_unique, which is 0002_unique.py now; "
        "0001_fix.py is another migration, which has never run here"
    )
    assert error.hint.startswith("take back what has run: goaime-migrate down,")
    assert reverted(world).versions == ("0001",)
    assert succeeded(world.up()).versions == ("0001", "0002")
    assert [d["group"] for d in world.documents("things")] == [0, 1, 2, 3]
    assert {index["name"] for index in world.catalogue()["things"][1]} >= {"group_1"}


def half_applied(world: World) -> None:
    """0002_left is partial: a canary of one document."""
    start(world, "base")
    world.write("0002_left.py", counting("left"))
    succeeded(world.up(where={"_id": 1}))


@each_mode
def test_a_half_applied_version_is_followed_and_goes_on(world: World) -> None:
    half_applied(world)
    move(world, ("0002_left.py", "0003_left.py"))
    world.write("0002_nothing.py", NOTHING)
    assert repaired(world) == (("0002", "0003"),)
    assert succeeded(world.up()).versions == ("0002", "0003")
    assert world.documents("things") == things(world, base=1, left=1)
    assert reverted(world, "0001").versions == ("0003", "0002")
    assert world.documents("things") == things(world, base=1)


@two
def test_a_half_applied_version_behind_one_that_never_ran_is_taken_back(world: World) -> None:
    half_applied(world)
    move(world, ("0002_left.py", "0003_left.py"))
    world.write("0002_right.py", counting("right"))
    assert refused(world).hint.startswith("take back what has run: goaime-migrate down,")
    assert reverted(world).versions == ("0002",)
    succeeded(world.up())
    assert world.documents("things") == things(world, base=1, right=1, left=1)


@two
def test_a_down_that_was_needed_finds_the_code_under_its_new_number(world: World) -> None:
    world.insert("things", things(world))
    world.write(
        "0001_left.py",
        "def up(db):\n    db.things.update_many({}, {'$inc': {'left': 1}})\n"
        "def down(db):\n    db.things.update_many({}, {'$unset': {'left': 1}})\n",
    )
    succeeded(world.up())
    move(world, ("0001_left.py", "0002_left.py"))
    world.write("0001_right.py", "def up(db):\n    pass\n")
    assert reverted(world).versions == ("0001",)
    assert world.documents("things") == things(world)


@two
def test_what_was_applied_has_a_way_back_whatever_its_file_is_now(world: World) -> None:
    start(world, "left")
    (world.folder / "0001_left.py").write_text("def up(db):\n    pass\n")
    assert reverted(world).versions == ("0001",)
    assert world.documents("things") == things(world)


def renamed_and_replaced(world: World) -> None:
    """0001_base and 0002_fix were applied; another 0002_fix came, and the one that has run was renumbered."""
    start(world, "base", "fix")
    move(world, ("0002_fix.py", "0003_fix.py"))
    world.write("0002_fix.py", counting("right"))


@each_mode
def test_a_file_of_the_same_name_is_not_what_has_run_where_another_has_its_code(world: World) -> None:
    renamed_and_replaced(world)
    error = refused(world)
    assert isinstance(error, Renumbered)
    assert error.message == (
        "0002 was applied here as 0002_fix, which is 0003_fix.py now; "
        "0002_fix.py is another migration, which has never run here"
    )
    assert error.hint == (
        "let what has run keep its number: rename 0003_fix.py to 0002_fix.py, 0002_fix.py to 0003_fix.py; "
        "or take back what has run: goaime-migrate down, after which all is applied in its new order"
    )
    with pytest.raises(Refused), world.migrator() as migrator:
        migrator.repair()
    assert world.documents("things") == things(world, base=1, fix=1)
    assert reverted(world).versions == ("0002",)
    assert succeeded(world.up()).versions == ("0002", "0003")
    assert world.documents("things") == things(world, base=1, right=1, fix=1)


@two
def test_two_of_one_name_that_have_changed_places_are_told(world: World) -> None:
    start(world, "fix", "more")
    move(world, ("0001_fix.py", "0002_fix.py"), ("0002_more.py", "0001_fix.py"))
    assert [(p.code, p.version) for p in world.status().problems] == [("GM211", "0001"), ("GM211", "0002")]
    assert isinstance(refused(world), Renumbered)


@two
def test_the_records_follow_where_only_the_name_had_stayed(world: World) -> None:
    start(world, "fix")
    move(world, ("0001_fix.py", "0002_fix.py"))
    world.write("0001_fix.py", NOTHING)
    assert repaired(world) == (("0001", "0002"),)
    assert succeeded(world.up()).versions == ("0001",)
    assert world.documents("things") == things(world, fix=1)
