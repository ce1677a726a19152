"""Which models a server can vouch for, and with which schema."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, Optional

import pytest
from bson import Decimal128, Int64, ObjectId
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    PrivateAttr,
    RootModel,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from goaime_migrate.results import Document
from goaime_migrate.verify.model_schema import Untranslatable
from goaime_migrate.verify.prefilter import parts


class Pair(BaseModel):
    left: StrictInt
    right: StrictInt | None = None


class Entry(TypedDict):
    name: StrictStr
    note: NotRequired[str]


class Tree(BaseModel):
    children: list[Tree] = []


class Colour(Enum):
    RED = "red"


def judged(value: int) -> int:
    return value


INTEGER = {"bsonType": ["int", "long"]}
TEXT = {"bsonType": ["string"]}
NO_DBREF = {"bsonType": "object", "not": {"required": ["$ref"]}}
PAIR = {
    **NO_DBREF,
    "required": ["left"],
    "patternProperties": {"^(left)$": INTEGER, "^(right)$": {"bsonType": ["int", "long", "null"]}},
}
ENTRY = {**NO_DBREF, "required": ["name"], "patternProperties": {"^(name|note)$": TEXT}}


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (Any, {}),
        (type(None), {"bsonType": ["null"]}),
        (bool, {"bsonType": ["bool"]}),
        (StrictBool, {"bsonType": ["bool"]}),
        (int, INTEGER),
        (StrictInt, INTEGER),
        (float, {"bsonType": ["double", "int", "long"]}),
        (StrictFloat, {"bsonType": ["double", "int", "long"]}),
        (str, TEXT),
        (StrictStr, TEXT),
        (InstanceOf[Decimal128], {"bsonType": ["decimal"]}),
        (InstanceOf[ObjectId], {"bsonType": ["objectId"]}),
        (Literal["a", "b"], {"bsonType": ["null", "string"], "enum": ["a", "b"]}),
        (Optional[str], {"bsonType": ["null", "string"]}),  # noqa: UP045 (as it may be written)
        (int | str | None, {"bsonType": ["int", "long", "null", "string"]}),
        (int | Any, {}),
        (list[int] | None, {"anyOf": [{"bsonType": ["null"]}, {"bsonType": "array", "items": INTEGER}]}),
        (list[Any], {"bsonType": ["array"]}),
        (list[StrictStr], {"bsonType": "array", "items": TEXT}),
        (dict[str, Any], NO_DBREF),
        (dict[str, int], {**NO_DBREF, "additionalProperties": INTEGER}),
        (Pair, PAIR),
        (Entry, ENTRY),
        (list[Entry], {"bsonType": "array", "items": ENTRY}),
        (dict[str, Pair], {**NO_DBREF, "additionalProperties": PAIR}),
    ],
)
def test_a_type_becomes_a_schema(annotation: Any, schema: Document) -> None:
    taken = parts(create_model("M", field=(annotation, ...)))
    expected: Document = {"required": ["field"]}
    if schema:
        expected["patternProperties"] = {"^(field)$": schema}
    assert (taken.schema, taken.fields, taken.validator) == (expected, (), None)


@pytest.mark.parametrize(
    "annotation",
    [
        datetime,
        bytes,
        set[int],
        tuple[int, ...],
        dict[int, str],
        Literal[1],
        Colour,
        Tree,
        InstanceOf[datetime],
        Annotated[int, Field(ge=0)],
        Annotated[str, Field(max_length=3)],
        Annotated[list[int], Field(min_length=1)],
        Annotated[int, AfterValidator(judged)],
        list[Annotated[int, AfterValidator(judged)]],
        int | datetime,
    ],
)
def test_a_field_of_which_nothing_is_certain_is_left_to_pydantic(annotation: Any) -> None:
    taken = parts(create_model("M", field=(annotation, ...), sure=(int, ...)))
    assert taken.schema == {"required": ["sure"], "patternProperties": {"^(sure)$": INTEGER}}
    assert taken.fields == ("field",)
    assert taken.validator is not None
    assert not taken.validator.isinstance_python({"field": object(), "sure": None})


def test_what_is_left_is_judged_as_in_the_whole_model() -> None:
    class Model(BaseModel):
        pair: Pair
        pairs: list[Pair]
        positive: Annotated[int, Field(gt=0)]
        nested: dict[str, Annotated[Pair, AfterValidator(lambda pair: pair)]] = {}

    taken = parts(Model)
    assert taken.fields == ("positive", "nested")
    assert taken.validator is not None
    assert taken.validator.isinstance_python({"positive": 1})
    assert taken.validator.isinstance_python({"positive": 1, "nested": {"a": {"left": 1}}, "more": 1})
    assert not taken.validator.isinstance_python({"positive": 1, "nested": {"a": {"left": "x"}}})
    assert not taken.validator.isinstance_python({"positive": 0})
    assert not taken.validator.isinstance_python({})


def test_a_field_with_a_default_need_not_be_there() -> None:
    model = create_model("M", a=(int, 1), b=(list[Any], []), c=(Any, None), d=(dict[str, int], {}))
    assert "required" not in parts(model).schema
    factory = create_model("M", a=(list[int], Field(default_factory=list)))
    assert parts(factory).fields == ()


@pytest.mark.parametrize(
    "default",
    [
        Field(default_factory=lambda: 1 // 0),
        Field(default="no number", validate_default=True),
        Field(default=Int64(1)),
    ],
)
def test_a_default_that_may_fail_is_left_to_pydantic(default: Any) -> None:
    assert parts(create_model("M", field=(int, default))).fields == ("field",)


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    field: int


class Stripped(BaseModel):
    model_config = ConfigDict(str_min_length=1)
    field: str


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    pair: Pair


class Aliased(BaseModel):
    field: Annotated[int, Field(alias="Field")]


class Whole(BaseModel):
    field: int

    @model_validator(mode="after")
    def even(self) -> Whole:
        if self.field % 2:
            raise ValueError("odd")
        return self


class Before(BaseModel):
    field: int

    @model_validator(mode="before")
    @classmethod
    def same(cls, data: Any) -> Any:
        return data


class Neighbourly(BaseModel):
    field: int
    other: int

    @field_validator("other")
    @classmethod
    def above(cls, value: int, info: ValidationInfo) -> int:
        if value <= info.data["field"]:
            raise ValueError("too small")
        return value


class OfItsOwn(BaseModel):
    field: int

    @classmethod
    def model_validate(cls, *_: Any, **__: Any) -> OfItsOwn:
        raise ValueError("never")


class Initialised(BaseModel):
    field: int

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


class Private(BaseModel):
    field: int
    _seen: int = PrivateAttr(default=0)


class Made(BaseModel):
    field: int

    def __new__(cls, *_: Any, **__: Any) -> Made:
        raise ValueError("never")


class Listed(RootModel[dict[str, int]]):
    pass


WHOLE = [
    Forbidding,
    Stripped,
    Strict,
    Aliased,
    Whole,
    Before,
    Neighbourly,
    OfItsOwn,
    Initialised,
    Private,
    Made,
    Listed,
]


@pytest.mark.parametrize("model", WHOLE, ids=lambda model: str(model.__name__))
def test_a_model_that_is_more_than_its_fields_is_judged_whole(model: type[BaseModel]) -> None:
    with pytest.raises(Untranslatable):
        parts(model)


@pytest.mark.parametrize(
    "model", [m for m in WHOLE if m is not OfItsOwn], ids=lambda model: str(model.__name__)
)
def test_such_a_model_within_another_is_left_to_pydantic(model: type[BaseModel]) -> None:
    outer = create_model("M", inner=(model, ...), sure=(int, ...))
    try:
        taken = parts(outer)
    except Untranslatable:
        return
    assert taken.fields == ("inner",)


def test_models_may_be_nested_only_so_deep() -> None:
    annotation: Any = int
    for _ in range(30):
        annotation = list[annotation]
    assert parts(create_model("M", field=(annotation, ...))).fields == ("field",)


@pytest.mark.parametrize("name", ["é", "a$b"])
def test_a_name_that_means_more_than_itself_is_left_to_pydantic(name: str) -> None:
    model = create_model("M", **{name: (int, ...)})  # type: ignore[call-overload]
    if name.isidentifier():
        assert parts(model).fields == (name,)
    else:
        with pytest.raises(Untranslatable):
            parts(model)


# What the translation knows of pydantic, whichever version of it is installed.


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (StrictInt, [1, Int64(1), Int64(2**63 - 1)]),
        (int, [1, Int64(-(2**63))]),
        (StrictFloat, [1.5, float("nan"), float("inf"), 1, Int64(2**63 - 1)]),
        (float, [1.5, float("nan"), float("-inf"), 1, Int64(2**62)]),
        (StrictBool, [True, False]),
        (bool, [True, False]),
        (StrictStr, ["", "a\0b", "\ufffd"]),
        (str, ["", "a"]),
        (Literal["a", None], ["a", None]),
        (InstanceOf[Decimal128], [Decimal128("NaN")]),
        (dict[str, Any], [{}, {"": 1, "$a.b": 2}]),
        (Pair, [{"left": Int64(1), "more": object()}]),
        (Entry, [{"name": "a", "more": object()}]),
    ],
)
def test_pydantic_takes_what_bson_becomes(annotation: Any, values: list[Any]) -> None:
    adapter = TypeAdapter(annotation)
    for value in values:
        try:
            adapter.validate_python(value)
        except ValidationError as error:  # pragma: no cover
            pytest.fail(f"{value!r}: {error}")
