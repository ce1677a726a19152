"""Which fields a step may be given alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel, model_validator

from goaime_migrate.backends.embedded.backend import CAPABILITIES
from goaime_migrate.operations import DeleteDocuments, DocumentOperation, RemoveField
from goaime_migrate.run.partitions import SIZE
from goaime_migrate.transform.insertion import InsertStep
from goaime_migrate.transform.projection import FROM, carried, looked_at
from goaime_migrate.transform.step import Step
from goaime_migrate.up.parallel_scan import shares


class Plain(BaseModel):
    n: int
    id_: Any = Field(alias="_id")
    other: int = Field(0, validation_alias="o")


class ByName(Plain):
    model_config = ConfigDict(populate_by_name=True)


class Forbidding(Plain):
    model_config = ConfigDict(extra="forbid")


class Either(BaseModel):
    n: int = Field(validation_alias=AliasChoices("n", "m"))


class Dotted(BaseModel):
    n: int = Field(alias="a.n")


class Whole(Plain):
    @model_validator(mode="before")
    @classmethod
    def all_of_it(cls, value: Any) -> Any:
        return value


class Made(Plain):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)


class Own(Plain):
    @classmethod
    def model_validate(cls, obj: Any, **more: Any) -> Own:
        return super().model_validate(obj, **more)


class Unfinished(BaseModel):
    n: NotYet  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Plain, {"n", "_id", "o"}),
        (ByName, {"n", "_id", "id_", "o", "other"}),
        *(
            (each, None)
            for each in (Forbidding, Either, Dotted, Whole, Made, Own, Unfinished, RootModel[int])
        ),
    ],
)
def test_a_model_looks_at_its_fields_alone_or_maybe_at_everything(
    model: type[BaseModel], expected: set[str] | None
) -> None:
    assert looked_at(model) == expected


def test_a_field_that_a_model_takes_by_two_names_has_to_be_declared_by_both() -> None:
    class Model(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        n: int = Field(alias="number")

    able = CAPABILITIES._replace(deltas=True)
    step = Step("0001", "c", "0001_c.py", lambda _: None, model=Model, fields=("number",))
    assert carried([step], able, FROM) is None
    both = replace(step, fields=("number", "n"))
    assert carried([both], able, FROM) == ("number", "n")


@pytest.mark.parametrize(
    ("fields", "partitions", "expected"), [(None, 20, 20), (("n",), 5, 1), (("n",), 9, 1), (("n",), 15, 3)]
)
def test_a_process_has_to_be_worth_its_start(
    fields: tuple[str, ...] | None, partitions: int, expected: int
) -> None:
    step = Step("0001", "c", "0001_c.py", lambda _: None, fields=fields)
    able = CAPABILITIES._replace(deltas=True)
    assert shares(able, [step], partitions * SIZE, partitions) == expected


@pytest.mark.parametrize("operation", [RemoveField("c", "n"), DeleteDocuments("c", where={"n": 1})])
def test_what_is_cut_out_or_deleted_is_quickly_done(operation: DocumentOperation) -> None:
    steps = [operation.step("0001", "0001_c.py")]
    assert [shares(CAPABILITIES, steps, n * SIZE, n) for n in (20, 39, 60)] == [1, 1, 3]
    assert shares(CAPABILITIES, [*steps, Step("0001", "c", "0001_c.py", lambda _: None)], 20 * SIZE, 20) == 20


def test_a_list_is_shared_by_the_threads_of_one_process() -> None:
    step = InsertStep("0001", "c", "0001_c.py", lambda _: None, documents=(b"",) * 60)
    assert shares(CAPABILITIES._replace(deltas=True), [step], 60 * SIZE, 60) == 1
