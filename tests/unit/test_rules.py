"""What `lint` says of files: each rule where it has to speak, and where it has not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from goaime_migrate.loader import load
from goaime_migrate.results import Finding, Severity
from goaime_migrate.rules import registry, templates
from goaime_migrate.rules.files import lint, problems
from tests.world import GOAIME

ERROR, WARNING, NOTE = Severity
INDEED = {
    *(
        "unique-duplicates",
        "index-conflict",
        "index-limit",
        "index-missing",
        "index-redundant",
        "index-build",
    ),
    *(
        "validator-refuses",
        "validator-misfits",
        "validator-strict",
        "collection-exists",
        "collection-missing",
    ),
    *("drop-collection", "result-size", "mixed-types", "ttl-expires", "unindexed-where", "unindexed-lookup"),
    *(
        "lookup-missing",
        "lookup-several",
        "privilege",
        "disk-space",
        "oplog-window",
        "unpaced",
        "breaks-old-code",
    ),
    *("irreversible", "impure", "application-import", "unbounded-function", "placeholder", "not-settled"),
    "no-promise",
}
HEAD = "import random\nfrom datetime import datetime\nfrom goaime_migrate import *\n"
TRANSFORM = "def f(d):\n    {}\noperations = [TransformDocuments('c', f{})]\n"


def findings(folder: Path, source: str, after: int = 0) -> list[Finding]:
    (folder / "0001_it.py").write_text(HEAD + dedent(source))
    files = load(folder)
    assert not files.problems
    return list(lint(files.migrations, files.unloaded, after))


def transform(body: str, options: str = "") -> str:
    return TRANSFORM.format(body, options)


def operation(text: str) -> str:
    return f"operations = [{text}]"


AT_RANDOM = """
def some(db):
    return [each for each in db.c.find() if random.random() < 0.1]
def verify(db):
    return [each["_id"] for each in some(db)]
"""
"""What only `verify` calls."""
LOOKING = "operations = [TransformDocuments('c', f, secrets=Lookup('secrets'))]\n"
CASES = [
    ("impure", WARNING, transform("d['at'] = datetime.now()"), "reads the clock"),
    ("impure", WARNING, transform("d['x'] = random.random()"), "draws at random"),
    ("impure", None, transform("d['at'] = datetime(2020, 1, 1)"), ""),
    ("impure", None, "def up(db):\n    db.c.insert_one({'x': random.random()})\ndef down(db): pass\n", ""),
    (
        "impure",
        WARNING,
        "operations = [TransformDocuments('c', lambda d: d.update(z=random.random()))]\n",
        "a lambda",
    ),
    (
        "impure",
        WARNING,
        "from random import randint\n" + transform("d['x'] = randint(1, 6)"),
        "draws at random",
    ),
    (
        "impure",
        WARNING,
        "from random import randint as dice\n" + transform("d['x'] = dice(1, 6)"),
        "draws at random",
    ),
    ("impure", WARNING, "import random as r\n" + transform("d['x'] = r.choice('ab')"), "draws at random"),
    (
        "impure",
        WARNING,
        "from secrets import token_hex\n" + transform("d['x'] = token_hex()"),
        "draws at random",
    ),
    ("impure", WARNING, "from time import time as T\n" + transform("d['x'] = T()"), "reads the clock"),
    (
        "impure",
        WARNING,
        "import datetime as dt\n" + transform("d['x'] = dt.datetime.now()"),
        "reads the clock",
    ),
    ("impure", WARNING, "from uuid import uuid4\n" + transform("d['x'] = uuid4()"), "draws at random"),
    ("impure", WARNING, "from bson import ObjectId as Id\n" + transform("d['x'] = Id()"), "makes a new id"),
    ("impure", None, "from bson import ObjectId as Id\n" + transform("d['x'] = Id('0' * 24)"), ""),
    ("impure", WARNING, "import os\n" + transform("d['x'] = os.environ['X']"), "reads the environment"),
    ("impure", WARNING, "import os\n" + transform("d['x'] = os.environ.get('X')"), "reads the environment"),
    ("impure", WARNING, "import os\n" + transform("d['x'] = os.getenv('X')"), "reads the environment"),
    (
        "impure",
        WARNING,
        "from os import getenv\n" + transform("d['x'] = getenv('X')"),
        "reads the environment",
    ),
    (
        "impure",
        WARNING,
        "from os import environ\n" + transform("d['x'] = environ['X']"),
        "reads the environment",
    ),
    (
        "impure",
        WARNING,
        "def g():\n    return random.random()\n" + transform("d['x'] = g()"),
        "g draws at random",
    ),
    (
        "impure",
        WARNING,
        "class C:\n    def g(self):\n        return random.random()\n" + transform("d['x'] = C().g()"),
        "g draws",
    ),
    ("impure", WARNING, "g = lambda: random.random()\n" + transform("d['x'] = g()"), "draws at random"),
    (
        "impure",
        WARNING,
        transform("d['x'] = random.random()") + "def verify(db):\n    f({})\n    return []\n",
        "f draws",
    ),
    ("impure", None, transform("d['x'] = 1") + AT_RANDOM, ""),
    ("impure", None, "SEED = random.random()\n" + transform("d['x'] = 1"), ""),
    ("impure", None, transform("d['x'] = d['random'].random()"), ""),
    ("impure", None, transform("d['x'] = random.Random(d['_id']).random()"), ""),
    ("impure", None, "def f(d, secrets):\n    d['x'] = secrets.get(d['_id'])\n" + LOOKING, ""),
    ("irreversible", WARNING, "def up(db):\n    pass\n", "no way back"),
    ("irreversible", None, "def up(db):\n    pass\ndef down(db):\n    pass\n", ""),
    ("placeholder", ERROR, operation("AddField('collection_name', 'x', 1)"), "only a placeholder"),
    ("placeholder", None, operation("AddField('people', 'x', 1)"), ""),
    ("superseded-unknown", WARNING, "supersedes = ['0000']\n" + operation(""), "no such file"),
    (
        "unbounded-function",
        WARNING,
        "def up(db):\n    db.users.update_many({}, {'$set': {'a': 1}})\n",
        "at once",
    ),
    ("unbounded-function", WARNING, "def up(db):\n    db['users'].delete_many({})\n", "at once"),
    ("unbounded-function", WARNING, "def up(db):\n    db.a.aggregate([{'$out': 'b'}])\n", "aggregate"),
    (
        "unbounded-function",
        WARNING,
        "def up(db):\n    db.get_collection('a').delete_many(filter={})\n",
        "all documents of a at",
    ),
    ("unbounded-function", WARNING, "def up(db):\n    a = db.a\n    a.delete_many(dict())\n", "at once"),
    (
        "unbounded-function",
        WARNING,
        "def up(db):\n    db.a.update_many(update={'$set': {'a': 1}}, filter={})\n",
        "at once",
    ),
    (
        "unbounded-function",
        None,
        "def up(db):\n    db.get_collection('a').delete_many(filter={'x': 1})\n",
        "",
    ),
    (
        "unbounded-function",
        None,
        "def up(db):\n    db.users.update_many({'a': None}, {'$set': {'a': 1}})\n",
        "",
    ),
    ("breaks-old-code", WARNING, operation("RenameField('c', 'a', 'b')"), "a of c"),
    ("breaks-old-code", WARNING, operation("RemoveField('c', 'a', 'b.x')"), "a and b.x of c"),
    ("breaks-old-code", WARNING, operation("ConvertField('c', 'a', 'date')"), "a of c in its old type"),
    ("breaks-old-code", WARNING, operation("RenameCollection('c', 'd')"), "the collection c"),
    (
        "breaks-old-code",
        None,
        operation("RenameCollection('c', 'd'), CreateCollection('c', viewOn='d', pipeline=[])"),
        "",
    ),
    ("breaks-old-code", WARNING, operation("DropCollection('c')"), "the collection c"),
    ("breaks-old-code", None, operation("AddField('c', 'a', 1)"), ""),
    ("validator-strict", WARNING, operation("SetValidator('c', {'required': ['a']})"), "old code"),
    ("validator-strict", None, operation("SetValidator('c', {'required': ['a']}, level='moderate')"), ""),
    ("validator-strict", None, operation("SetValidator('c', {'required': ['a']}, action='warn')"), ""),
    (
        "validator-strict",
        None,
        operation("CreateCollection('c'), SetValidator('c', {'required': ['a']})"),
        "",
    ),
    ("not-settled", NOTE, transform("d['n'] += 1"), "d['n'] += 1"),
    ("not-settled", NOTE, transform("d['n'] = d['n'] * 2"), "d['n'] * 2"),
    ("not-settled", NOTE, transform("d['list'].append(1)"), "append"),
    ("not-settled", None, transform("d['n'] += 1", ", where={'n': 0}"), ""),
    ("not-settled", None, transform("if 'm' not in d: d['n'] += 1"), ""),
    ("not-settled", None, transform("d['n'] = str(d['n'])"), ""),
    ("no-promise", NOTE, transform("d['n'] += 1"), "transform c with f"),
    ("no-promise", None, transform("d['n'] += 1", ", check=lambda d: []"), ""),
    ("no-promise", None, transform("d['n'] = 1"), ""),
    ("no-promise", NOTE, "def up(db):\n    pass\n", "run up(db)"),
    ("no-promise", None, "def up(db):\n    pass\ndef verify(db):\n    return []\n", ""),
    ("allowance", WARNING, "# allow: impure\n" + operation(""), "says no reason"),
    ("allowance", WARNING, "# allow: no-such because x\n" + operation(""), "no such rule"),
    ("allowance", None, "# allow: impure because x\n" + operation(""), ""),
]


@pytest.mark.parametrize(("rule", "severity", "source", "says"), CASES)
def test_a_rule_speaks_where_it_has_to(
    tmp_path: Path, rule: str, severity: Severity | None, source: str, says: str
) -> None:
    found = [finding for finding in findings(tmp_path, source) if finding.rule == rule]
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    for finding in found:
        assert says in finding.message
        assert finding.remedy
        assert finding.version == "0001"
        assert finding.file is not None
        assert finding.file.endswith("0001_it.py")


def test_what_an_update_of_all_is_written_as_instead_is_spelt_out(tmp_path: Path) -> None:
    source = "def up(db):\n    db.users.update_many({}, {'$set': {'a': 1}})\n"
    (found,) = (f for f in findings(tmp_path, source) if f.rule == "unbounded-function")
    assert found.remedy == "write instead: operations = [UpdateDocuments('users', [{'$set': {'a': 1}}])]"
    assert (found.collection, found.line) == ("users", 5)


@pytest.mark.parametrize(
    ("old", "new", "copies"),
    [
        ("it's", "its", """UpdateDocuments('c', [{'$set': {'its': "$it's"}}])"""),
        (
            "a.$[].b",
            "a.$[].c",
            "TransformDocuments('c', …) that puts what is in a.$[].b into a.$[].c as well",
        ),
    ],
)
def test_how_a_field_gets_its_new_name_beside_the_old_one_is_spelt_out(
    tmp_path: Path, old: str, new: str, copies: str
) -> None:
    source = operation(f"RenameField('c', {old!r}, {new!r})")
    (found,) = (f for f in findings(tmp_path, source) if f.rule == "breaks-old-code")
    assert found.remedy.startswith(f"in two releases: 1. {copies}, and a release that reads {new}")


def test_what_is_updated_by_keywords_is_spelt_out_too(tmp_path: Path) -> None:
    source = (
        "def up(db):\n    db.get_collection(name='users').update_many(update={'$set': {'a': 1}}, filter={})\n"
    )
    (found,) = (f for f in findings(tmp_path, source) if f.rule == "unbounded-function")
    assert found.remedy == "write instead: operations = [UpdateDocuments('users', [{'$set': {'a': 1}}])]"
    assert found.collection == "users"


def test_code_of_the_application_is_told_from_what_is_installed_and_from_what_is_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, project = tmp_path / "migrations", tmp_path / "project"
    for each in (folder, project / "ourapp"):
        each.mkdir(parents=True)
    (project / "ourapp" / "__init__.py").write_text("")
    (project / "ourapp" / "models.py").write_text("class User: pass\n")
    (folder / "helper_of_ours.py").write_text("")
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.syspath_prepend(str(folder))
    source = "import bson, pydantic, helper_of_ours\nfrom ourapp.models import User\noperations = []\n"
    (found,) = (f for f in findings(folder, source) if f.rule == "application-import")
    assert found.message == "it imports ourapp.models, which belongs to the application"
    assert found.line == 5


def test_an_operation_has_the_line_where_it_is_declared(tmp_path: Path) -> None:
    source = "operations = [\n    AddField('c', 'a', 1),\n    RemoveField('c', 'b'),\n]\n"
    (found,) = findings(tmp_path, source)
    assert found.line == 6


def test_an_allowance_makes_a_note_of_it(tmp_path: Path) -> None:
    source = "# allow: breaks-old-code because release 41 reads it no more\n" + operation(
        "RemoveField('c', 'b')"
    )
    (found,) = findings(tmp_path, source)
    assert found.severity is NOTE
    assert found.message.endswith("(allowed: release 41 reads it no more)")
    assert problems([found]) == ()


def test_an_allowance_in_a_text_is_none(tmp_path: Path) -> None:
    source = "X = '''\n# allow: breaks-old-code because x\n'''\n" + operation("RemoveField('c', 'b')")
    (found,) = findings(tmp_path, source)
    assert found.severity is WARNING


def test_files_up_to_a_version_are_spared(tmp_path: Path) -> None:
    source = operation("RemoveField('c', 'b')")
    assert findings(tmp_path, source, after=1) == []
    assert len(findings(tmp_path, source, after=0)) == 1


def test_a_finding_is_a_problem_with_its_place(tmp_path: Path) -> None:
    (problem,) = problems(findings(tmp_path, operation("AddField('collection_name', 'x', 1)")))
    assert problem.message == "0001_it.py, line 4: collection_name is only a placeholder"
    assert problem.code == "GM209"


def test_the_worst_comes_first(tmp_path: Path) -> None:
    source = transform("d['n'] += random.random()").replace("'c'", "'collection_name'")
    assert [f.severity for f in findings(tmp_path, source)] == [ERROR, WARNING, NOTE, NOTE]


def test_our_own_migrations_have_no_problems() -> None:
    files = load(GOAIME)
    assert problems(lint(files.migrations, files.unloaded)) == ()


def test_every_rule_says_what_it_is_about() -> None:
    known = registry.rules_by_name()
    assert {*INDEED} <= {*known}
    for name, rules in known.items():
        for _, rule in rules:
            first = rule.text.partition("\n\n")[0]
            assert first.endswith("."), name
            assert "\n" not in first, name
    assert templates.placeholder.__doc__ == registry.about("placeholder")
    assert registry.about("GM206")
