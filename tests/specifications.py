"""Indexes, collections and validators of which it is certain, before anybody is asked, whether a server takes them."""

from __future__ import annotations

import re
from typing import Any

Keys = list[tuple[str, Any]]
X: Keys = [("x", 1)]
WILD: Keys = [("$**", 1)]

INDEXES: dict[str, tuple[Keys, dict[str, Any]]] = {
    "a misspelt option": (X, {"uniqe": True}),
    "an option of the command": (X, {"commitQuorum": 1}),
    "a flag that is none": (X, {"sparse": "yes"}),
    "sparse and partial": (X, {"sparse": True, "partialFilterExpression": {"a": 1}}),
    "no filter": (X, {"partialFilterExpression": None}),
    "not equal": (X, {"partialFilterExpression": {"a": {"$ne": 1}}}),
    "none of these": (X, {"partialFilterExpression": {"$and": [{"a": {"$nin": [1]}}]}}),
    "what is absent": (X, {"partialFilterExpression": {"a": {"$exists": False}}}),
    "what does not match": (X, {"partialFilterExpression": {"a": {"$not": {"$gt": 1}}}}),
    "neither": (X, {"partialFilterExpression": {"$nor": [{"a": 1}]}}),
    "an expression": (X, {"partialFilterExpression": {"$expr": {"$gt": ["$a", 1]}}}),
    "a pattern": (X, {"partialFilterExpression": {"a": re.compile("x")}}),
    "two fields that expire": ([("x", 1), ("y", 1)], {"expireAfterSeconds": 5}),
    "expired before it was": (X, {"expireAfterSeconds": -1}),
    "expires too late": (X, {"expireAfterSeconds": 2**31}),
    "expires in words": (X, {"expireAfterSeconds": "5"}),
    "expires truly": (X, {"expireAfterSeconds": True}),
    "an expiring _id": ([("_id", 1)], {"expireAfterSeconds": 5}),
    "a unique _id": ([("_id", 1)], {"unique": True}),
    "a unique hash": ([("x", "hashed")], {"unique": True}),
    "a unique wildcard": (WILD, {"unique": True}),
    "a sparse wildcard": (WILD, {"sparse": True}),
    "an expiring wildcard": (WILD, {"expireAfterSeconds": 5}),
    "a projection of one field": (X, {"wildcardProjection": {"a": 1}}),
    "a collation without a locale": (X, {"collation": {"strength": 1}}),
    "no collation": (X, {"collation": None}),
    "text with a collation": ([("x", "text")], {"collation": {"locale": "en"}}),
    "a plane with a collation": ([("x", "2d")], {"collation": {"locale": "en"}}),
    "a dollar": ([("a.$b", 1)], {}),
    "an empty part": ([("a..b", 1)], {}),
    "a dot at the end": ([("a.", 1)], {}),
    "too many keys": ([(f"f{n}", 1) for n in range(33)], {}),
}
"""Refused by every server, by their keys and options."""
FINE_INDEXES: dict[str, tuple[Keys, dict[str, Any]]] = {
    "sparse": (X, {"sparse": True, "unique": True}),
    "partial": (X, {"partialFilterExpression": {"a": {"$exists": True, "$gt": 1}, "b": None}}),
    "partial, all of them": (X, {"partialFilterExpression": {"$and": [{"a": {"$type": "int"}}, {"b": 1}]}}),
    "not sparse, but partial": (X, {"sparse": False, "partialFilterExpression": {"a": 1}}),
    "expiring": (X, {"expireAfterSeconds": 0}),
    "expiring at last": (X, {"expireAfterSeconds": 2**31 - 1}),
    "an expiring hash": ([("x", "hashed")], {"expireAfterSeconds": 5}),
    "on _id": ([("_id", 1)], {}),
    "on the hash of _id": ([("_id", "hashed")], {}),
    "wildcard": (WILD, {"wildcardProjection": {"a": 0}}),
    "wildcard below": ([("a.$**", 1)], {"hidden": True}),
    "all text": ([("$**", "text")], {"default_language": "german", "weights": {"a": 3}}),
    "text with the simple collation": ([("x", "text")], {"collation": {"locale": "simple"}}),
    "a sphere with a collation": ([("x", "2dsphere")], {"collation": {"locale": "en"}}),
    "of a reference": ([("a.$id", 1)], {"background": True}),
    "a plane": ([("x", "2d")], {"min": -5, "max": 5, "bits": 20}),
}
COLLECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "a misspelt option": ("c", {"cappd": True}),
    "capped without a size": ("c", {"capped": True}),
    "capped to nothing": ("c", {"capped": True, "size": 0}),
    "a size, not capped": ("c", {"size": 5}),
    "at most, not capped": ("c", {"max": 5}),
    "an unknown level": ("c", {"validationLevel": "x"}),
    "an unknown action": ("c", {"validationAction": "x"}),
    "a pipeline of nothing": ("c", {"pipeline": []}),
    "a view that writes": ("c", {"viewOn": "x", "pipeline": [{"$out": "y"}]}),
    "expiring documents": ("c", {"expireAfterSeconds": 5}),
    "measurements at no time": ("c", {"timeseries": {"metaField": "m"}}),
    "a dollar": ("a$b", {}),
    "a dot at the beginning": (".a", {}),
    "a dot at the end": ("a.", {}),
    "two dots": ("a..b", {}),
    "a validator by a script": ("c", {"validator": {"$where": "1"}}),
}
VALIDATORS: dict[str, dict[str, Any]] = {
    "a script": {"$where": "1"},
    "a script within": {"$and": [{"a": 1}, {"$or": [{"$where": "1"}]}]},
    "text": {"$text": {"$search": "x"}},
    "near": {"a": {"$near": [1, 1]}},
    "some": {"$sampleRate": 0.5},
    "a function": {"$expr": {"$eq": [1, {"$function": {"body": "f", "args": [], "lang": "js"}}]}},
    "chance": {"$expr": {"$lt": [{"$rand": {}}, 0.5]}},
}
FINE_VALIDATORS: dict[str, dict[str, Any]] = {
    "a schema": {"$jsonSchema": {"properties": {"$where": {"bsonType": "string"}}}},
    "a value with a dollar": {"$expr": {"$ne": ["$a", {"$literal": {"$rand": 1}}]}},
    "all": {"$and": [{"a": {"$gt": 1}}, {"$nor": [{"b": {"$regex": "x"}}]}]},
}
