"""`verify` fetches no more of documents than models look at, and finds what it would find in whole ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import pytest
from bson import Code, Decimal128, Int64, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    create_model,
    field_validator,
)
from typing_extensions import TypedDict

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.server.mongo import MongoBackend
from goaime_migrate.backends.server.single_document import SingleDocumentBackend
from goaime_migrate.backends.server.transactional import TransactionalBackend
from goaime_migrate.config import Settings
from goaime_migrate.results import VerifyFailure
from goaime_migrate.run import reading
from goaime_migrate.transform.lookups import Lookup
from goaime_migrate.transform.step import Step
from goaime_migrate.verify import promises
from goaime_migrate.verify.promises import Auditor
from tests.servers import Server
from tests.unit.values import (
    CODE_WITH_SCOPE,
    FAR_DATE,
    NOT_UTF8,
    SYMBOL,
    TEXTS,
    UNDEFINED,
    VALUES,
    document,
    element,
)

OnServer = SingleDocumentBackend | TransactionalBackend
REFERENCE: dict[str, Any] = {"$ref": "c", "$id": 1}
"""A document of which pymongo makes a DBRef."""


def step(model: type[BaseModel] | None = None, version: str = "0001", **more: Any) -> Step:
    return Step(version, "c", "0001_c.py", lambda _: None, model=model, **more)


@contextmanager
def opened(server: Server, database: str) -> Iterator[OnServer]:
    with closing(connect(Settings(uri=server.uri, database=database), write=False)) as backend:
        assert isinstance(backend, OnServer)
        yield backend


def insert(server: Server, database: str, documents: Iterable[bytes | Mapping[str, Any]]) -> None:
    raws = [RawBSONDocument(d if isinstance(d, bytes) else raw_bson.encode(d)) for d in documents]
    server.client[database].c.insert_many(raws)


def audited(backend: OnServer, steps: list[Step], *, here: bool) -> tuple[int, list[VerifyFailure]]:
    """What is counted and found; with `here`, in whole documents, else in as little of them as models look at."""
    auditor = Auditor(steps, [None] * len(steps), backend.now())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(promises, "_is_less", lambda *_: not here)
        auditor.whole(backend, "c", None)
    return auditor.checked, auditor.failures


def found(backend: OnServer, *steps: Step) -> list[VerifyFailure]:
    """What is found in either way; it must be the same."""
    checked, failures = audited(backend, list(steps), here=False)
    assert (checked, failures) == audited(backend, list(steps), here=True)
    assert checked == backend.count("c")
    return failures


@pytest.fixture
def base(replica_set: Server, database_name: str) -> Iterator[tuple[Server, str, OnServer]]:
    with opened(replica_set, database_name) as backend:
        yield replica_set, database_name, backend


Base = tuple[Server, str, OnServer]


# --- any model, any documents ----------------------------------------------------------------------------------


class Fitting(NamedTuple):
    """A type, and values that are likely to be of it."""

    annotation: Any
    values: st.SearchStrategy[Any]


INTS = st.integers(-(2**31), 2**31 - 1) | st.integers(-(2**63), 2**63 - 1).map(Int64)
LEAVES = [
    Fitting(Any, VALUES),
    Fitting(type(None), st.none()),
    Fitting(bool, st.booleans()),
    Fitting(int, INTS),
    Fitting(StrictInt, INTS),
    Fitting(float, st.floats() | INTS),
    Fitting(StrictFloat, st.floats() | INTS),
    Fitting(str, TEXTS),
    Fitting(StrictStr, TEXTS),
    Fitting(Literal["a", "b", None], st.sampled_from(["a", "b", None])),
    Fitting(InstanceOf[Decimal128], st.just(Decimal128("1.5"))),
    Fitting(InstanceOf[ObjectId], st.just(ObjectId("65a000000000000000000001"))),
    # Nothing is certain about these.
    Fitting(datetime, st.just(datetime(2020, 1, 1))),
    Fitting(Annotated[int, Field(ge=0)], INTS),
    Fitting(Annotated[str, AfterValidator(lambda text: text.upper())], TEXTS),
]
NAMES = st.sampled_from(["a", "b", "c", "long_name"])
ODD: st.SearchStrategy[Any] = VALUES | st.sampled_from(
    [REFERENCE, {**REFERENCE, "a": 1}, {"a": 1, "$ref": "c"}, True, None, [], {}]
)


def noisy(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Now and then something else."""
    return st.integers(0, 9).flatmap(lambda n: ODD if n == 0 else values)


def some_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    whole = st.fixed_dictionaries({name: noisy(values) for name, values in fields.items()})
    less = st.fixed_dictionaries({}, optional={name: noisy(values) for name, values in fields.items()})
    return st.integers(0, 5).flatmap(lambda n: less if n == 0 else whole)


def model_of(fields: dict[str, Fitting], defaults: frozenset[str]) -> type[BaseModel]:
    definitions: Any = {n: (f.annotation, None if n in defaults else ...) for n, f in fields.items()}
    return create_model("Model", **definitions)


def of_model(fields: dict[str, Fitting], defaults: frozenset[str]) -> Fitting:
    values = some_of({name: fitting.values for name, fitting in fields.items()})
    return Fitting(model_of(fields, defaults), values)


def of_typed_dict(fields: dict[str, Fitting], optional: frozenset[str]) -> Fitting:
    annotations = {n: NotRequired[f.annotation] if n in optional else f.annotation for n, f in fields.items()}
    values = some_of({name: fitting.values for name, fitting in fields.items()})
    return Fitting(TypedDict("Typed", annotations), values)  # type: ignore[operator]


def nested(inner: st.SearchStrategy[Fitting]) -> st.SearchStrategy[Fitting]:
    fields = st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    left_out = st.frozensets(NAMES, max_size=2)
    return st.one_of(
        inner.map(lambda f: Fitting(list[f.annotation], st.lists(noisy(f.values), max_size=3))),  # type: ignore[name-defined]
        inner.map(
            lambda f: Fitting(dict[str, f.annotation], st.dictionaries(NAMES, noisy(f.values), max_size=3))  # type: ignore[name-defined]
        ),
        inner.map(lambda f: Fitting(f.annotation | None, f.values | st.none())),
        st.builds(lambda f, g: Fitting(f.annotation | g.annotation, f.values | g.values), inner, inner),
        st.builds(of_model, fields, left_out),
        st.builds(of_typed_dict, fields, left_out),
    )


FITTING = st.recursive(st.sampled_from(LEAVES), nested, max_leaves=4)
MODELS = st.builds(
    of_model, st.dictionaries(NAMES, FITTING, min_size=1, max_size=3), st.frozensets(NAMES, max_size=1)
)
MORE = st.sampled_from([b"", UNDEFINED, SYMBOL, CODE_WITH_SCOPE, FAR_DATE, NOT_UTF8])


@st.composite
def models_with_documents(draw: st.DrawFn) -> tuple[type[BaseModel], list[bytes]]:
    """A model and documents for it, of which some hold a name twice."""
    fitting = draw(MODELS)
    fields = st.lists(fitting.values, min_size=4, max_size=12)
    documents = []
    for number, values in enumerate(draw(fields)):
        elements = (
            [element(name, value) for name, value in values.items()] if isinstance(values, dict) else []
        )
        twice = draw(st.sampled_from([b"", b"", *elements]))
        documents.append(document(element("_id", number), *elements, draw(MORE)))
        if twice:
            name = twice[1 : twice.index(0, 1)].decode()
            again = element(name, draw(ODD))
            order = [*elements, again] if draw(st.booleans()) else [again, *elements]
            documents.append(document(element("_id", number + 1_000), *order))
    return fitting.annotation, documents


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(models_with_documents())
def test_what_is_fetched_in_part_is_judged_as_the_whole(
    base: Base, given_: tuple[type[BaseModel], list[bytes]]
) -> None:
    server, name, backend = base
    model, documents = given_
    server.client[name].c.delete_many({})
    insert(server, name, documents)
    found(backend, step(model))


# --- one model, odd documents ----------------------------------------------------------------------------------


class Part(BaseModel):
    count: StrictInt
    share: StrictFloat


class Line(TypedDict):
    text: StrictStr | None
    tags: list[StrictStr]
    note: NotRequired[Any]


class Session(BaseModel):
    kind: Literal["old", "new"]
    parts: dict[str, Part]
    total: StrictFloat | InstanceOf[Decimal128] | None
    seen: Any
    lines: list[Line] = []


GOOD = {
    "kind": "new",
    "parts": {"a": {"count": 1, "share": 0.5}, "": {"count": Int64(2), "share": 1}},
    "total": None,
    "seen": None,
    "lines": [{"text": None, "tags": []}, {"text": "t", "tags": ["u"], "note": REFERENCE}],
}
KEPT: dict[str, dict[str, Any]] = {
    "as it is": {},
    "an int for a float": {"total": 1},
    "a decimal": {"total": Decimal128("NaN")},
    "no parts": {"parts": {}},
    "other fields": {"other": {"$ref": 1}, "lines": [{"text": "t", "tags": [], "x": 1}]},
    "a reference where anything may be": {"seen": REFERENCE},
    "a float that is whole": {"parts": {"a": {"count": 1, "share": float("nan")}}},
}
BROKEN: dict[str, dict[str, Any]] = {
    "another literal": {"kind": "OLD"},
    "null for a literal": {"kind": None},
    "code for text": {"kind": Code("new")},
    "a reference for parts": {"parts": REFERENCE},
    "a reference for a part": {"parts": {"a": {**REFERENCE, "count": 1, "share": 1.0}}},
    "an array for parts": {"parts": []},
    "a bool for a count": {"parts": {"a": {"count": True, "share": 1.0}}},
    "a double for a count": {"parts": {"a": {"count": 1.0, "share": 1.0}}},
    "a decimal for a share": {"parts": {"a": {"count": 1, "share": Decimal128("1")}}},
    "no share": {"parts": {"a": {"count": 1}, "b": {"count": 1, "share": 1.0}}},
    "null for a part": {"parts": {"a": None}},
    "text for a total": {"total": "x"},
    "a timestamp for a total": {"total": Timestamp(1, 1)},
    "null for lines": {"lines": None},
    "a document for lines": {"lines": {"0": {"text": "t", "tags": []}}},
    "no tags": {"lines": [{"text": "t"}]},
    "a number among tags": {"lines": [{"text": "t", "tags": ["a", 1]}]},
    "an array for a text": {"lines": [{"text": ["t"], "tags": []}]},
    "an array for a line": {"lines": [[{"text": "t", "tags": []}]]},
}


@pytest.mark.parametrize("kind", ["standalone", "replica_set"])
def test_odd_documents_are_judged_as_ever(
    request: pytest.FixtureRequest, kind: str, database_name: str
) -> None:
    where: Server = request.getfixturevalue(kind)
    cases = {**KEPT, **BROKEN}
    insert(where, database_name, [{"_id": name, **GOOD, **changed} for name, changed in cases.items()])
    for name in GOOD:
        without = {k: v for k, v in GOOD.items() if k != name}
        insert(where, database_name, [{"_id": f"without {name}", **without}])

    with opened(where, database_name) as backend:
        broken = {failure.id for failure in found(backend, step(Session))}
        where.client.drop_database(database_name)

    missing = {f"without {name}" for name in GOOD if name != "lines"}
    assert broken == set(BROKEN) | missing


def test_of_a_name_that_stands_twice_the_last_counts(base: Base) -> None:
    server, name, backend = base

    class Model(BaseModel):
        n: StrictInt
        m: Annotated[int, Field(gt=0)] | None = None
        part: Part | None = None

    part = document(element("count", 1), element("share", 1.0), element("count", "x"))
    nested_twice = b"\x03part\0" + part
    insert(
        server,
        name,
        [
            document(element("_id", 1), element("n", 1), element("n", "x")),
            document(element("_id", 2), element("n", "x"), element("n", 1)),
            document(element("_id", 3), element("n", 1), nested_twice),
            document(element("_id", 4), element("n", 1), element("m", 1), element("m", 0)),
            document(element("_id", 5), element("n", 1), element("m", 0), element("m", 1)),
        ],
    )
    assert [(failure.id, failure.field) for failure in found(backend, step(Model))] == [
        (1, "n"),
        (3, "part.count"),
        (4, "m"),
    ]


def test_what_decodes_to_something_else_is_judged_by_what_it_becomes(base: Base) -> None:
    server, name, backend = base

    class Model(BaseModel):
        s: str | None = "x"
        u: None = None
        t: str = ""
        d: Any = 1

    odd = [UNDEFINED, SYMBOL, FAR_DATE, NOT_UTF8, CODE_WITH_SCOPE]
    insert(server, name, [document(element("_id", n), bytes_) for n, bytes_ in enumerate(odd)])
    assert found(backend, step(Model)) == []


def test_a_collation_makes_no_two_texts_the_same(base: Base) -> None:
    server, name, backend = base
    server.client[name].create_collection("c", collation={"locale": "en", "strength": 1})
    insert(server, name, [{"_id": "x", "kind": "A"}, {"_id": "y", "kind": "a"}])

    class Model(BaseModel):
        kind: Literal["a"]

    assert [failure.id for failure in found(backend, step(Model))] == ["x"]


# --- what is fetched of a document -------------------------------------------------------------------------------


def _positive(value: int) -> int:
    if value <= 0:
        raise ValueError("must be positive")
    return value


class Partly(BaseModel):
    sure: StrictInt
    positive: Annotated[StrictInt, AfterValidator(_positive)]
    part: Part


def test_only_what_the_model_looks_at_is_read(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    server, name, backend = base
    part = {"count": 1, "share": 1.0}
    insert(
        server, name, [{"_id": n, "sure": 1, "positive": n, "part": part, "big": "x" * 99} for n in range(9)]
    )
    insert(server, name, [{"_id": 9, "sure": 1, "positive": 1, "part": {}}])
    fetched: list[bytes] = []

    def documents(self: MongoBackend, *args: Any, **kwargs: Any) -> list[bytes]:
        result = original(self, *args, **kwargs)
        fetched.extend(result)
        return result

    original = MongoBackend.documents
    monkeypatch.setattr(MongoBackend, "documents", documents)
    _, failures = audited(backend, [step(Partly)], here=False)
    assert {key for bytes_ in fetched for key in raw_bson.decode(bytes_)} == {"_id", *Partly.model_fields}

    monkeypatch.undo()
    assert failures == found(backend, step(Partly))
    assert [(failure.id, failure.field) for failure in failures] == [
        (0, "positive"),
        (9, "part.count"),
        (9, "part.share"),
    ]
    assert failures[0].reason == "Value error, must be positive"


def test_documents_of_which_models_look_at_most_are_read_whole(base: Base) -> None:
    server, name, backend = base
    insert(server, name, [{"_id": n, "text": "x" * 50, "more": "x" * 99} for n in range(9)])
    assert promises._is_less(backend, "c", ["text"])
    assert not promises._is_less(backend, "c", ["text", "more"])
    assert not promises._is_less(backend, "nothing", ["text"])


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int


class Neighbourly(BaseModel):
    low: int
    high: int

    @field_validator("high")
    @classmethod
    def above(cls, value: int, info: ValidationInfo) -> int:
        if value <= info.data.get("low", 0):
            raise ValueError("too low")
        return value


@pytest.mark.parametrize("model", [Forbidding, Neighbourly])
def test_a_model_that_is_more_than_its_fields_is_judged_whole(base: Base, model: type[BaseModel]) -> None:
    server, name, backend = base
    insert(server, name, [{"_id": 1, "n": 1, "low": 1, "high": 2}, {"_id": 2, "low": 2, "high": 2}])
    assert found(backend, step(model))


def test_promises_of_several_versions_share_one_walk(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    server, name, backend = base
    monkeypatch.setattr(reading, "LARGEST_LIGHT", 3)
    monkeypatch.setattr(reading, "LARGEST", 4)
    insert(server, name, [{"_id": n, "a": n, "b": "x" if n % 3 else n} for n in range(10)])
    one = step(create_model("One", a=(Annotated[int, Field(le=7)], ...)))
    two = step(create_model("Two", b=(StrictStr, ...)), "0002")
    assert [(failure.id, failure.version) for failure in found(backend, one, two)] == [
        (0, "0002"),
        (3, "0002"),
        (6, "0002"),
        (8, "0001"),
        (9, "0001"),
        (9, "0002"),
    ]

    checked = step(
        create_model("Two", b=(StrictStr, ...)), "0003", check=lambda d: ["a: odd"] if d["a"] % 2 else None
    )
    failures = found(backend, one, two, checked)
    assert [(f.id, f.version, f.field) for f in failures if f.id == 9] == [
        (9, "0001", "a"),
        (9, "0002", "b"),
        (9, "0003", "b"),
        (9, "0003", "a"),
    ]


def test_a_check_gets_its_lookups_and_failures_stay_in_order(base: Base) -> None:
    server, name, backend = base
    server.client[name].names.insert_many([{"_id": n, "ok": n % 2 == 0} for n in range(6)])
    insert(server, name, [{"_id": n, "name": (n + 1) % 6} for n in range(8)])

    def check(d: dict[str, Any], names: Mapping[Any, dict[str, Any]]) -> list[str]:
        if d["_id"] == 1:
            return ["name: never"]
        return [] if names[d["name"]]["ok"] else ["name: is not ok"]

    failures = found(backend, step(check=check, lookups={"names": Lookup("names")}))
    assert [failure.id for failure in failures] == [0, 1, 2, 4, 6]


def test_a_check_that_changes_its_document_hides_nothing_from_others_that_find_fault(base: Base) -> None:
    server, name, backend = base
    insert(server, name, [{"_id": 1, "n": 1}])

    def clear(d: dict[str, Any]) -> None:
        d.clear()

    assert found(backend, step(check=clear), step(create_model("M", n=(int, ...)), "0002")) == []


def test_only_so_many_failures_are_listed_and_all_documents_are_counted(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, name, backend = base
    monkeypatch.setattr(promises, "MOST", 7)
    insert(server, name, [{"_id": n} for n in range(20)])
    failures = found(backend, step(create_model("M", a=(int, ...), b=(int, ...))))
    assert [failure.id for failure in failures] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_collection_without_a_promise_is_only_counted(base: Base) -> None:
    server, name, backend = base
    insert(server, name, [{"_id": n} for n in range(3)])
    assert found(backend) == []
    assert found(backend, step(create_model("Empty"))) == []


def test_a_sample_is_of_whole_documents(base: Base) -> None:
    server, name, backend = base
    insert(server, name, [{"_id": n, "a": "x"} for n in range(30)])
    auditor = Auditor([step(create_model("M", a=(int, ...)))], [None], backend.now())
    auditor.whole(backend, "c", 10)
    assert (auditor.checked, len(auditor.failures)) == (10, 10)
