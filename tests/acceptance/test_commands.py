"""What the commands promise: exit statuses, the keys of --json, and what they leave alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.project import FAILING, GREETING, INDEX, LETTERS, PEOPLE, PLAIN, Project

STATUS = {
    "database", "server", "mode", "current", "head", "pending", "problems", "lock", "versions", "error",
    "waiting", "warnings", "journal_bytes",
}  # fmt: skip
VERSION = {
    "version", "name", "description", "state", "applied_at", "duration_s", "documents", "warnings", "progress",
    "checksum", "error", "journal_bytes",
}  # fmt: skip
RUN = {
    *("failed", "error", "documents", "conflicts", "warnings", "duration_s", "direction", "message"),
    *("born", "left", "without_reverse", "in_all", "more_conflicts", "erased"),
}
COUNTS = {"matched", "changed", "unchanged", "conflicts"}
ERROR = {"code", "message", "hint", "version", "id", "field"}
PLAN = {
    "direction", "target", "steps", "predicted", "refused", "preview", "sampled", "message", "findings",
    "unforeseen", "error",
}  # fmt: skip
VERIFY = {
    "checked", "promises", "without_promise", "unchecked", "failures", "versions", "superseded", "error",
    "stragglers",
}  # fmt: skip
SWEEP = {"swept", "remaining", "error"}
REPAIR = {"accepted", "dropped", "renumbered", "restored", "error"}
BLAME = {"collection", "id", "changes", "notes", "error"}
PRUNE = {"pruned", "erased", "freed_bytes", "collections", "unreachable", "notes", "leftover", "error"}
STEP = {"version", "name", "operations", "samples", "irreversible", "warnings", "notes"}
ENTRY = {"at", "version", "action", "result", "error", "duration_s", "who", "host", "tool"}


def test_from_the_first_status_to_the_last(project: Project) -> None:
    project.write(GREETING, INDEX, LETTERS)
    before = project.world.raws("people")

    fresh = project.json("status")
    assert set(fresh) == STATUS
    assert [set(version) for version in fresh["versions"]] == [VERSION] * 3
    assert fresh["mode"] == ("embedded" if project.world.embedded else "transactional")
    assert (fresh["current"], fresh["head"], fresh["pending"]) == (None, "0003", ["0001", "0002", "0003"])
    assert fresh["lock"] is fresh["error"] is None

    applied = project.json("up")
    assert set(applied) == RUN | {"applied"}
    assert set(applied["documents"]) == COUNTS
    assert applied["applied"] == ["0001", "0002", "0003"]
    assert project.world.documents("people")[0] == {
        "_id": 0,
        "name": "Ann",
        "greeting": "Hello Ann",
        "letters": 3,
    }

    after = project.json("status", "--check")
    assert (after["current"], after["pending"]) == ("0003", [])
    assert after["versions"][0]["documents"] == {"matched": 5, "changed": 5, "unchanged": 0, "conflicts": 0}
    assert datetime.fromisoformat(after["versions"][0]["applied_at"]).tzinfo is not None
    assert project.json("up")["message"] == "already at 0003"

    checked = project.json("verify")
    assert set(checked) == VERIFY
    assert (checked["checked"], checked["failures"]) == (5, [])

    reverted = project.json("down", "base", "--yes")
    assert set(reverted) == RUN | {"reverted"}
    assert reverted["reverted"] == ["0003", "0002", "0001"]
    assert project.world.raws("people") == before

    log = project.json("history")
    assert {frozenset(entry) for entry in log} == {frozenset(ENTRY)}
    assert [(e["version"], e["action"], e["result"]) for e in log] == [
        ("0001", "up", "applied"),
        ("0002", "up", "applied"),
        ("0003", "up", "applied"),
        ("0003", "down", "reverted"),
        ("0002", "down", "reverted"),
        ("0001", "down", "reverted"),
    ]


def test_commands_that_read_write_nothing_at_all(project: Project) -> None:
    project.write(GREETING, INDEX, LETTERS)
    before = project.fingerprint()
    commands = [
        "status",
        "plan",
        "verify",
        "history",
        "lint",
        "unlock",
        "up --dry-run",
        "stamp head --dry-run",
    ]
    for command in commands:
        project.ok(*command.split())
    assert project.fingerprint() == before

    project.applied("0001")
    before = project.fingerprint()
    for command in ["status", "plan", "verify", "plan --down", "down --dry-run", "repair --dry-run"]:
        project.ok(*command.split())
    assert project.fingerprint() == before


def test_plan_shows_real_documents(project: Project) -> None:
    project.write(GREETING, INDEX)

    plan = project.json("plan")

    assert set(plan) == PLAN
    assert [set(step) for step in plan["steps"]] == [STEP, STEP]
    assert set(plan["predicted"]) >= {"seconds", "journal_bytes", "oplog_bytes"}
    (operation,) = plan["steps"][0]["operations"]
    assert set(operation) == {"text", "collection", "matched", "changed", "unchanged"}
    assert (operation["matched"], operation["changed"]) == (5, 5)
    sample = plan["steps"][0]["samples"][0]
    assert sample["id"] == {"$numberInt": "0"}
    assert "greeting" not in sample["before"]
    assert sample["after"]["greeting"] == "Hello Ann"


def test_a_plan_that_fails_says_to_plan_again(project: Project) -> None:
    project.write(FAILING)
    assert project.run("plan", "--json").json["refused"]["hint"].endswith("then: goaime-migrate plan")


def test_the_way_back_of_a_function_is_its_down(project: Project) -> None:
    project.write(PLAIN + "\n\ndef down(db):\n    pass\n")
    project.applied()
    (operation,) = project.json("plan", "--down")["steps"][0]["operations"]
    assert operation["text"] == "run down(db)"


def test_status_check_tells_problems_before_pending_versions(project: Project) -> None:
    project.write(GREETING)
    assert project.run("status").code == 0
    assert project.run("status", "--check").code == 3

    project.applied()
    assert project.run("status", "--check").code == 0

    project.write(GREETING.replace("Hello", "Good morning"), INDEX)
    assert project.run("status").code == 0
    checked = project.run("status", "--check", "--json")
    assert checked.code == 4
    assert checked.json["problems"][0]["code"] == checked.json["error"]["code"] == "GM201"
    assert set(checked.json["problems"][0]) == {"code", "version", "message", "hint"}
    assert project.run("up").code == 4


def edited(project: Project) -> None:
    project.write(GREETING, LETTERS)
    project.applied()
    project.write(GREETING.replace("Hello", "Hi"), LETTERS.replace("len(", "1 + len("))


def removed(project: Project) -> None:
    edited(project)
    (project.world.folder / "0002_step_2.py").unlink()


def failed(project: Project) -> None:
    project.write(INDEX, FAILING)
    project.run("up")


def pending(project: Project) -> None:
    project.write(GREETING)


@pytest.mark.parametrize("command", ["status --check", "wait --timeout 0"])
@pytest.mark.parametrize("situation", [edited, removed, failed, pending])
def test_status_check_says_nothing_twice(
    embedded: Project, situation: Callable[[Project], None], command: str
) -> None:
    situation(embedded)
    result = embedded.json("status")
    found = embedded.run(*command.split())
    said = " ".join((found.out + " " + found.err).split())
    lines = [line for line in (found.out + found.err).splitlines() if line.strip()]
    assert len(lines) == len(set(lines))
    for problem in result["problems"]:
        assert said.count(problem["message"]) == 1
        assert said.count(problem["hint"]) == 1
    assert said.count("next: ") == max(1, len({p["hint"] for p in result["problems"]}))
    assert "next: " in found.err


def test_a_failed_version_is_told_with_its_reason_and_the_way_on(project: Project) -> None:
    failed(project)
    shown = " ".join(project.ok("status").out.split())
    assert "GM301 divide raised ZeroDivisionError: division by zero (at: _id 3)" in shown
    assert "0002 unfinished; next: mend what is said there, then goaime-migrate up (goes on), or" in shown
    (error,) = [v["error"] for v in project.json("status")["versions"] if v["error"]]
    assert (error["code"], error["id"], error["field"]) == ("GM301", {"$numberInt": "3"}, None)
    assert "GM301 divide raised ZeroDivisionError" in " ".join(project.ok("history").out.split())
    last = project.run("history", "--json").json[-1]
    assert last["error"] == {"code": "GM301", "message": error["message"]}
    assert last["duration_s"] is not None
    project.world.change("people", 3, _id=3)
    project.write(INDEX, FAILING.replace("- 3", "- 30"))
    assert project.json("up")["applied"] == ["0002"]
    assert all(v["error"] is None for v in project.json("status")["versions"])


def test_a_failure_names_the_document_and_up_goes_on_after_it_is_mended(project: Project) -> None:
    project.write(GREETING, INDEX, FAILING)

    failed = project.run("up", "--json", "--batch-size", "2")

    assert failed.code == 1
    assert failed.json["applied"] == ["0001", "0002"]
    assert failed.json["failed"] == "0003"
    assert set(failed.json["error"]) == ERROR
    assert failed.json["error"]["code"] == "GM301"
    assert failed.json["error"]["id"] == {"$numberInt": "3"}
    assert "ZeroDivisionError" in failed.err
    assert "next:" in failed.err
    assert project.state() == {"0001": "applied", "0002": "applied", "0003": "failed"}

    project.world.change("people", 3, _id=3, name="Daniel")
    project.write(GREETING, INDEX, FAILING.replace("- 3", "- 30"))
    mended = project.run("up", "--json")
    if mended.code == 4:  # a batch was committed with the old code
        assert mended.json["error"]["code"] == "GM208"
        project.ok("down", "--yes")
        mended = project.run("up", "--json")
    assert mended.json["applied"] == ["0003"]
    assert project.run("status", "--check").code == 0


def test_stragglers_are_found_told_and_swept(project: Project) -> None:
    project.write(GREETING.replace('    assert "greeting" not in person, "a document is greeted once"\n', ""))
    project.applied()
    project.world.insert("people", [{"_id": 9, "name": "Newton"}])

    found = project.run("verify", "--json")
    assert found.code == 5
    assert found.json["stragglers"] == [
        {"version": "0001", "collection": "people", "count": 1, "examples": [{"$numberInt": "9"}]}
    ]
    assert found.json["error"]["code"] == "GM403"
    assert "goaime-migrate sweep" in project.run("verify").out

    dry = project.json("sweep", "--dry-run")
    assert set(dry) == SWEEP
    assert (dry["remaining"], dry["swept"][0]["changed"]) == (1, 1)
    swept = project.json("sweep", "--yes")
    assert set(swept["swept"][0]) == {"version", "collection", "matched", "changed", "conflicts"}
    assert (swept["remaining"], swept["swept"][0]["changed"]) == (0, 1)
    assert project.run("verify").code == 0
    assert [(e["action"], e["result"]) for e in project.json("history")][-1] == ("sweep", "swept")


def test_verify_finds_a_broken_document(project: Project) -> None:
    project.write(LETTERS)
    project.applied()
    project.world.insert("people", [{"_id": 9, "name": "Newton"}])

    broken = project.run("verify", "--json")

    assert broken.code == 5
    assert broken.json["failures"] == [
        {
            "version": "0001",
            "collection": "people",
            "id": {"$numberInt": "9"},
            "field": "letters",
            "reason": "letters: missing",
        }
    ]
    assert broken.json["error"]["code"] == "GM401"


@pytest.mark.parametrize("command", ["down", "stamp head", "repair", "unlock --force", "prune --keep 0d"])
def test_what_asks_refuses_where_nobody_can_answer(project: Project, command: str) -> None:
    project.write(GREETING)
    if command != "stamp head":
        project.applied()
    if command == "repair":
        project.write(GREETING.replace("Hello", "Hi"))
    before = project.fingerprint()

    asked = project.run(*command.split(), text="y\n")

    if command == "unlock --force":  # nobody holds it: nothing to ask
        assert (asked.code, asked.out) == (0, "no lock is held\n")
    else:
        assert asked.code == 9
        assert "GM802" in asked.err
    assert project.fingerprint() == before


def test_down_without_a_way_back_touches_nothing(project: Project) -> None:
    project.write(GREETING, PLAIN, LETTERS)
    project.applied()
    before = project.fingerprint()

    refused = project.run("down", "base", "--yes", "--json")

    assert refused.code == 9
    assert refused.json["error"]["code"] == "GM801"
    assert refused.json["error"]["version"] == "0002"
    assert project.fingerprint() == before


def test_blame_tells_who_changed_a_document_and_what_it_was(project: Project) -> None:
    project.write(GREETING, INDEX, LETTERS)
    project.applied()
    before = project.fingerprint()

    found = project.json("blame", "people", "1")
    assert set(found) == BLAME
    assert [set(change) for change in found["changes"]] == [{"version", "at", "who", "kind", "fields"}] * 2
    first, second = found["changes"]
    assert (first["version"], first["kind"]) == ("0001", "up")
    assert first["fields"] == [{"field": "greeting", "after": "Hello Bob"}]
    assert second["fields"] == [{"field": "letters", "after": {"$numberInt": "3"}}]
    assert "+ letters  3" in project.ok("blame", "people", "1").out

    then = project.json("blame", "people", "1", "--as-of", "3")
    assert set(then) == {"collection", "id", "version", "document", "error"}
    assert then["document"] == json.loads(project.ok("blame", "people", "1", "--as-of", "0003").out)
    assert then["document"]["greeting"] == "Hello Bob"
    assert "letters" not in then["document"]
    unknown = project.run("blame", "people", "nobody", "--json")
    assert (unknown.code, unknown.json["error"]["code"], unknown.json["error"]["id"]) == (
        2,
        "GM107",
        "nobody",
    )
    assert project.fingerprint() == before


def test_prune_deletes_what_down_would_need_and_down_says_so(project: Project) -> None:
    project.write(GREETING, INDEX, LETTERS)
    project.applied("2")
    project.applied()
    assert set(project.json("prune", "--keep", "30d")) == PRUNE
    foreseen = project.json("prune", "--keep", "0d", "--dry-run")
    assert (foreseen["pruned"], foreseen["erased"]) == (["0001", "0003"], None)

    done = project.json("prune", "--version", "1", "--yes")
    assert (done["pruned"], done["freed_bytes"] > 0, done["error"]) == (["0001"], True, None)

    assert project.json("down", "1", "--yes")["reverted"] == ["0003", "0002"]
    refused = project.run("down", "--yes", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (9, "GM810")
    assert "pruned by" in refused.json["error"]["message"]
    assert "0001 can be taken back no more" in " ".join(project.ok("status").out.split())
    assert project.run("blame", "people", "1").out.count("its journal was pruned by") == 1
    gone = project.run("blame", "people", "1", "--as-of", "1", "--json")
    assert (gone.code, gone.json["error"]["code"]) == (9, "GM810")


def test_prune_erases_one_document_and_down_counts_it(project: Project) -> None:
    project.write(GREETING)
    project.applied()
    done = project.json("prune", "--collection", "people", "--id", "1", "--yes")
    assert set(done) == PRUNE
    assert done["erased"] == {"collection": "people", "id": {"$numberInt": "1"}, "versions": ["0001"]}
    assert project.json("prune", "--collection", "people", "--id", "1", "--yes")["erased"]["versions"] == []

    back = project.json("down", "--yes")
    assert (len(back["erased"]), back["born"], back["documents"]["changed"]) == (1, 0, 4)
    assert [d["_id"] for d in project.world.documents("people") if "greeting" in d] == [1]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--keep 30",
        "--keep 1d --version 1",
        "--collection people",
        "--id 1",
        "--collection people --id {",
        "--version 9",
    ],
)
def test_prune_wants_to_know_what(embedded: Project, words: str) -> None:
    embedded.write(GREETING)
    embedded.applied()
    before = embedded.fingerprint()
    assert embedded.run("prune", *words.split(), "--yes").code == 2
    assert embedded.fingerprint() == before


def test_stamp_records_without_running(project: Project) -> None:
    project.write(GREETING, INDEX)
    before = project.world.raws("people")

    assert project.json("stamp", "0001", "--yes") == {"recorded": ["0001"], "removed": [], "error": None}

    assert project.world.raws("people") == before
    assert project.state() == {"0001": "applied", "0002": "pending"}
    assert project.json("up")["applied"] == ["0002"]


def test_repair_accepts_edited_files_and_drops_removed_ones(project: Project) -> None:
    project.write(GREETING, INDEX, LETTERS)
    project.applied()
    project.write(GREETING.replace("Hello", "Hi"))
    (project.world.folder / "0003_step_3.py").unlink()
    assert project.run("status", "--check").code == 4

    repaired = project.json("repair", "--yes")
    assert set(repaired) == REPAIR
    assert (repaired["accepted"], repaired["dropped"], repaired["error"]) == (["0001"], ["0003"], None)

    assert project.run("status", "--check").code == 0
    assert project.json("repair")["accepted"] == []


def test_a_removed_file_in_the_middle_is_no_dead_end(project: Project) -> None:
    project.write(GREETING, INDEX, LETTERS)
    project.applied()
    (project.world.folder / "0002_step_2.py").unlink()
    stopped = project.run("up", "--json")
    assert (stopped.code, stopped.json["error"]["code"]) == (4, "GM202")

    assert project.json("repair", "--yes")["dropped"] == ["0002"]
    assert project.run("status", "--check").code == 0

    project.world.write("0004_step_4.py", INDEX)
    stopped = project.run("up", "--json")
    assert (stopped.code, stopped.json["error"]["code"]) == (4, "GM204")
    assert "operations = []" in stopped.json["error"]["hint"]

    project.world.write("0002_removed.py", "operations = []")
    assert "nothing" in project.ok("plan").out
    assert project.json("up")["applied"] == ["0002", "0004"]
    assert project.run("status", "--check").code == 0
    assert sorted(project.json("down", "base", "--yes")["reverted"]) == ["0001", "0002", "0003", "0004"]


def test_versions_that_do_nothing_are_applied_in_their_turn(project: Project) -> None:
    project.write("operations = []", FAILING, "operations = []")
    assert project.run("up", "--json").json["applied"] == ["0001"]
    assert project.state() == {"0001": "applied", "0002": "failed", "0003": "pending"}


def test_a_canary_is_partial_and_the_next_up_completes_it(project: Project) -> None:
    project.write(GREETING)

    project.ok("up", "--where", '{"name": "Bob"}')

    assert [d["_id"] for d in project.world.documents("people") if "greeting" in d] == [1]
    assert project.state() == {"0001": "partial"}
    (step,) = project.json("plan")["steps"]
    assert [(o["matched"], o["changed"]) for o in step["operations"]] == [(4, 4)]
    project.ok("up")
    assert [d["greeting"] for d in project.world.documents("people")][:2] == ["Hello Ann", "Hello Bob"]
    assert project.state() == {"0001": "applied"}


@pytest.mark.parametrize(
    ("first", "then", "states"),
    [
        ("2", "up", "applied applied applied"),
        ("+1", "up head", "applied applied applied"),
        ("0002", "up -1", "applied applied applied"),
        ("head", "down -1 --yes", "applied applied pending"),
        ("head", "down +2 --yes", "applied pending pending"),
        ("head", "down step_1 --yes", "applied pending pending"),
        ("head", "down base --yes", "pending pending pending"),
        ("head", "down --yes", "applied applied pending"),
        ("step_2", "up 1", "applied applied pending"),
    ],
)
def test_targets(embedded: Project, first: str, then: str, states: str) -> None:
    embedded.write(GREETING, INDEX, LETTERS)
    embedded.applied(first)
    embedded.ok(*then.split())
    assert list(embedded.state().values()) == states.split()


def test_a_target_that_is_passed_says_how_to_go_back(embedded: Project) -> None:
    embedded.write(GREETING, INDEX, LETTERS)
    embedded.applied()
    assert embedded.ok("up", "2").out == "already at 0003; to go back: down 0002\n"
    assert embedded.json("down", "3", "--yes")["message"] == "already at 0003"


@pytest.mark.parametrize("words", ["up 7", "up step", "up Step_1", "down nothing --yes", "stamp 9 --yes"])
def test_a_target_that_names_no_version_or_several_is_a_usage_error(embedded: Project, words: str) -> None:
    embedded.write(GREETING, INDEX, LETTERS)
    embedded.applied("1")
    refused = embedded.run(*words.split(), "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "GM106"


@pytest.mark.parametrize(
    ("words", "next_command"),
    [
        ("upgrade head", "goaime-migrate up"),
        ("downgrade -1", "goaime-migrate down"),
        ("migrate", "goaime-migrate up"),
        ("create x", "goaime-migrate new NAME"),
        ("revision", "goaime-migrate new NAME"),
        ("info", "goaime-migrate status"),
        ("current", "goaime-migrate status"),
        ("validate", "goaime-migrate verify"),
        ("statsu", "goaime-migrate status"),
        ("--json status", "goaime-migrate status --json"),
    ],
)
def test_wrong_words_name_the_right_ones(embedded: Project, words: str, next_command: str) -> None:
    refused = embedded.run(*words.split())
    assert refused.code == 2
    assert f"next: {next_command}" in refused.err


def test_wait_ends_at_once_at_head_and_with_3_when_its_time_is_over(project: Project) -> None:
    project.write(GREETING)
    waited = project.run("wait", "--timeout", "0.2", "--json")
    assert waited.code == 3
    assert set(waited.json) == STATUS
    assert waited.json["error"]["code"] == "GM501"

    project.applied()
    assert project.json("wait", "--timeout", "0.2")["current"] == "0001"


def test_no_migrations_at_all_is_nothing_to_do(project: Project) -> None:
    assert project.json("status", "--check")["head"] is None
    assert project.json("up")["applied"] == []
    assert project.run("wait", "--timeout", "0").code == 0


COMMANDS = [
    "status", "plan", "up", "down --yes", "verify", "history", "wait --timeout 0", "stamp 1 --yes",
    "repair --yes", "unlock --force --yes", "throttle --pause", "blame people 1", "prune --keep 0d --yes", "sweep",
]  # fmt: skip
KEYS: dict[str, set[str]] = {
    "status": STATUS,
    "plan": PLAN,
    "up": RUN | {"applied"},
    "down": RUN | {"reverted"},
    "verify": VERIFY,
    "sweep": SWEEP,
    "history": {"error"},
    "wait": STATUS,
    "stamp": {"recorded", "removed", "error"},
    "repair": REPAIR,
    "unlock": {"lock", "ended", "error"},
    "throttle": {"throttle", "lock", "unpaced", "error"},
    "blame": BLAME,
    "prune": PRUNE,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_fails_early_prints_one_value_with_all_its_keys(
    embedded: Project, command: str
) -> None:
    failed = embedded.run(*command.split(), "--json", "--uri", "dump:nowhere")

    assert failed.code == 2
    value: dict[str, Any] = failed.json
    assert set(value) == KEYS[command.split(maxsplit=1)[0]]
    assert value["error"]["code"] == "GM104"
    assert "GM104" in failed.err
    assert not (embedded.folder / "nowhere").exists()


def test_documents_that_were_there_are_the_people(embedded: Project) -> None:
    assert embedded.world.documents("people") == PEOPLE
