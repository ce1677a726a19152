"""Make a sample goAIME database: as a mongodump directory, or in a server.

    python demo/sample.py demo/dump
    python demo/sample.py --uri mongodb://localhost:27017 --database goaime --sessions 300000

The same seed gives the same documents, and the first sessions of a large sample are those of a small one.
Most sessions are of the common old shape; every fifth shows one of the oddities that years of history have
left in such a database. None of them is beyond migration. Problems come without their texts.
"""

import argparse
import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import bson
from bson import Int64, ObjectId
from pymongo import MongoClient

Document = dict[str, Any]
Oddity = Callable[[Document, Random], None]

USERS = 400
BATCH = 1_000
START = datetime(2022, 1, 1)

REFERENCE_CONTEST = """
1 easy D Algebra, Continued Fractions
2 easy B Algebra, Ratios and Proportions
3 easy E Algebra, System of Linear Equations
4 easy E Algebra, Unit Conversion
5 easy C Geometry, Polygons
6 easy A Algebra, Absolute Value
7 easy B Number Theory, GCD and LCM
8 easy D Algebra, Mean
9 easy D Counting and Probability, Graph Theory
10 easy E Geometry, Coordinate Geometry
11 medium C Algebra, Exponents
12 medium A Logic, Truth FrozenLookups
13 medium C Geometry, Triangle Properties
14 medium E Counting and Probability, Combinatorics
15 medium D Geometry, Cyclic Quadrilateral
16 medium D Algebra, Polynomials - Vieta's formulas
17 medium D Number Theory, Repeating Decimals
18 medium A Geometry, 3D Transformations
19 medium C Number Theory, Modular Arithmetic
20 medium E Algebra, Arithmetic and Geometric Sequences
21 hard B Geometry, Area of Polygons
22 hard D Counting and Probability, Permutation
23 hard B Geometry, Isosceles Trapezoid
24 hard E Counting and Probability, String Counting
25 hard B Geometry, Lattice Points
"""
REFERENCE_CORRECT = {2, 8, 13}
YEARS = range(2019, 2024)
CONTESTS = ("AMC 10A", "AMC 10B", "AMC 12A", "AMC 12B")


# The collections


def documents(sessions: int = 400, seed: int = 2022) -> dict[str, Iterable[Document]]:
    """The whole database. Sessions are generated while they are read, so any number takes no memory."""
    people, problems = users(seed), [*reference_problems(), *other_problems(seed)]
    names = [user["username"] for user in people]
    contests = [problems[start : start + 25] for start in range(0, len(problems), 25)]
    return {"users": people, "problems": problems, "sessions": _sessions(sessions, seed, names, contests)}


def users(seed: int = 2022) -> list[Document]:
    """Some share a name, since the app once let them; nobody is called goAmy."""
    random = Random(f"{seed} users")
    return [_user(random, number if number % 50 else 1) for number in range(1, USERS + 1)]


def _user(random: Random, number: int) -> Document:
    joined = START + timedelta(seconds=random.randrange(10**8))
    name = f"solver{number}"
    user_id = _object_id(random, joined)
    return {"_id": user_id, "username": name, "email": f"{name}@example.com", "created_at": joined}


def reference_problems() -> list[Document]:
    """AMC 10A 2022."""
    random = Random("AMC10A_2022")
    return [_reference_problem(random, line) for line in REFERENCE_CONTEST.strip().split("\n")]


def _reference_problem(random: Random, line: str) -> Document:
    number, difficulty, answer, topics = line.split(" ", 3)
    return {
        "_id": _object_id(random, START),
        "contest_id": "AMC10A_2022",
        "problem_number": int(number),
        "correct_answer": answer,
        "difficulty": difficulty,
        "topics": topics.split(", "),
    }


def other_problems(seed: int = 2022) -> list[Document]:
    """Nineteen more contests; the older half was imported under string ids and other names for the answer."""
    random = Random(f"{seed} problems")
    topics = sorted({topic for problem in reference_problems() for topic in problem["topics"]})
    contests = [each for each in itertools.product(YEARS, CONTESTS) if each != (2022, "AMC 10A")]
    return [_problem(random, *contest, number, topics) for contest in contests for number in range(1, 26)]


def _problem(random: Random, year: int, contest: str, number: int, topics: list[str]) -> Document:
    old = year < 2021
    code = contest.replace(" ", "")
    return {
        "_id": f"{year}_{code.lower()}_p{number}" if old else _object_id(random, START),
        "contest_id": f"{code}_{year}",
        "problem_number": number,
        random.choice(["answer", "answer_key"]) if old else "correct_answer": random.choice("ABCDE"),
        "difficulty": ("easy", "medium", "hard")[(number - 1) // 10],
        "topics": random.sample(topics, 2),
    }


def _sessions(count: int, seed: int, names: list[str], contests: list[list[Document]]) -> Iterator[Document]:
    """The reference session, then the common kind, every fifth of them with the next oddity."""
    if count:
        yield reference_session()
    random = Random(f"{seed} sessions")
    oddities = itertools.cycle(ODDITIES)
    for number in range(1, count):
        started = START + timedelta(seconds=97 * number + random.randrange(97))
        session = _session(random, started, random.choice(names), random.choice(contests))
        if number % 5 == 0:
            next(oddities)(session, random)
        yield session


# The common session: the old shape


def reference_session() -> Document:
    """The session in the report of the original migration, before it."""
    created = datetime(2025, 5, 26, 11, 35, 30, 239_000)
    attempts = [_reference_attempt(problem, created) for problem in reference_problems()]
    attempts[-1]["time_spent_ms"] += 1
    return {
        "_id": _object_id(Random("goAmy"), created),
        "session_id": "a78885fa-abd3-41e9-b2f4-9b6ca9c0d91a",
        "created_at": created,
        "username": "goAmy",
        "mode": "contest",
        "year": 2022,
        "contest": "AMC 10A",
        "score": 3,
        "total_attempted": 25,
        "problems_attempted": attempts,
        "total_time_ms": 7426,
        "completed_at": "2025-05-26T11:35:30.214Z",
        "session_status": "completed",
    }


def _reference_attempt(problem: Document, at: datetime) -> Document:
    """The report gives the sum of the times only."""
    number = problem["problem_number"]
    return _attempt(problem, number in REFERENCE_CORRECT, 167 + 10 * number, at)


def _session(random: Random, started: datetime, username: str, problems: Sequence[Document]) -> Document:
    attempts, now = [], started
    for problem in problems:
        spent = random.randrange(4_000, 240_000)
        now += timedelta(milliseconds=spent)
        attempts.append(_attempt(problem, random.random() < 0.6, spent, now))
    code, year = problems[0]["contest_id"].split("_")
    return {
        "_id": _object_id(random, started),
        "session_id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "session_status": "completed",
        "created_at": started,
        "completed_at": _iso(now),
        "username": username,
        "year": int(year),
        "contest": f"{code[:3]} {code[3:]}",
        "mode": random.choice(["practice", "contest", "competition"]),
        "score": sum(attempt["is_correct"] for attempt in attempts),
        "total_attempted": len(attempts),
        "problems_attempted": attempts,
        "total_time_ms": sum(attempt["time_spent_ms"] for attempt in attempts),
    }


def _attempt(problem: Document, correct: bool, spent: int, at: datetime) -> Document:
    answer = problem.get("correct_answer") or problem.get("answer") or problem["answer_key"]
    return {
        "problem_number": problem["problem_number"],
        "problem_id": str(problem["_id"]),
        "is_correct": correct,
        "selected_answer": answer if correct else "ABCDE"["BCDEA".index(answer)],
        "time_spent_ms": spent,
        "time_spent_seconds": spent / 1000,
        "attempt_timestamp": _iso(at),
        "topics": [],
    }


def _object_id(random: Random, made: datetime) -> ObjectId:
    seconds = int((made - datetime(1970, 1, 1)).total_seconds())
    return ObjectId(seconds.to_bytes(4, "big") + random.randbytes(8))


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}Z"


# What years of history have left: each changes a common session


def scattered_fields(session: Document, random: Random) -> None:
    fields = [(name, session.pop(name)) for name in list(session) if name != "_id"]
    random.shuffle(fields)
    session.update(fields[3:])


def older_attempts(session: Document, _: Random) -> None:
    for attempt in session["problems_attempted"]:
        attempt["correct"] = attempt.pop("is_correct")


def unjudged_attempts(session: Document, _: Random) -> None:
    for attempt in session["problems_attempted"][::4]:
        attempt.update(is_correct=None, correct=True)


def object_id_problems(session: Document, _: Random) -> None:
    for attempt in session["problems_attempted"]:
        if ObjectId.is_valid(attempt["problem_id"]):
            attempt["problem_id"] = ObjectId(attempt["problem_id"])


def unknown_problems(session: Document, random: Random) -> None:
    attempts = session["problems_attempted"]
    attempts[0]["problem_id"] = random.randbytes(12).hex()
    attempts[1]["problem_id"] = "2018_amc10a_p99"
    attempts[2]["problem_id"] = None
    del attempts[3]["problem_id"]


def enriched_attempts(session: Document, _: Random) -> None:
    first, second, third, *_rest = session["problems_attempted"]
    first.update(correct_answer="", difficulty="medium", topics=["Algebra", "Mean"])
    second.update(correct_answer=None, difficulty="", topics=None)
    third.update(difficulty="insane", correct_answer=7)


def strange_topics(session: Document, _: Random) -> None:
    first, second, third, *_rest = session["problems_attempted"]
    first["topics"] = ["Algebra.Linear", "$Geometry", ".", "$", "a..b.$c"]
    second["topics"] = ["Algebra", "Algebra", "", "  ", " Algebra"]
    third["topics"] = [" "]


def no_attempts(session: Document, _: Random) -> None:
    del session["problems_attempted"], session["total_time_ms"]


def empty_attempts(session: Document, _: Random) -> None:
    session.update(problems_attempted=[], score=0, total_attempted=0, total_time_ms=0)


def unmeasured_attempts(session: Document, _: Random) -> None:
    del session["total_time_ms"]
    session["problems_attempted"][0]["time_spent_ms"] = None
    for attempt in session["problems_attempted"][1:9]:
        del attempt["time_spent_ms"]


def int64_times(session: Document, _: Random) -> None:
    session["total_time_ms"] = Int64(session["total_time_ms"])
    for attempt in session["problems_attempted"]:
        attempt["time_spent_ms"] = Int64(attempt["time_spent_ms"])


def fractional_times(session: Document, random: Random) -> None:
    del session["total_time_ms"]
    for attempt in session["problems_attempted"]:
        attempt["time_spent_ms"] += random.random()


def null_total_time(session: Document, _: Random) -> None:
    session["total_time_ms"] = None


def older_total_time(session: Document, _: Random) -> None:
    session["totalTime"] = Int64(session.pop("total_time_ms"))


def existing_metrics(session: Document, _: Random) -> None:
    total = session.pop("total_time_ms")
    session["performance_metrics"] = {"total_metrics": {"total_time_ms": total, "by": "app 1.4"}}


def null_metrics(session: Document, _: Random) -> None:
    session.update(performance_metrics=None, total_time_seconds=None, total_time_minutes=1.5)


def stale_analytics(session: Document, _: Random) -> None:
    session.update(topic_performance={"Algebra": {"attempted": 1}}, difficulty_performance=None)


def kept_values(session: Document, random: Random) -> None:
    session.update(shuffle=None, score=None, user_id=_object_id(random, START), session_status=None)


def placeholder_user(session: Document, random: Random) -> None:
    session.update(user_id=random.choice(["None", "null", "", None]), shuffle=True)


def nobody(session: Document, _: Random) -> None:
    session["username"] = None


def unknown_user(session: Document, random: Random) -> None:
    session["username"] = f"guest{random.randrange(10**6)}"


def extra_fields(session: Document, random: Random) -> None:
    session.update(device={"os": "iPadOS", "app": "2.3.1"}, notes=["late", None])
    session["updated_at"] = session["created_at"]
    session["client.version"] = random.randrange(40)


def target_shape(session: Document, random: Random) -> None:
    """What the app saves since it knows the new shape; here a practice of two problems."""
    old = dict(session)
    first, second, *_rest = old["problems_attempted"]
    first.update(is_correct=True, time_spent_ms=61_000, correct_answer="D", difficulty="easy")
    first["topics"] = ["Algebra", "Mean"]
    second.update(is_correct=False, time_spent_ms=59_000, correct_answer="C", difficulty="medium")
    second["topics"] = ["Algebra"]
    session.clear()
    for name in ("_id", "session_id", "session_status", "created_at", "completed_at", "username"):
        session[name] = old[name]
    session.update(user_id=random.randbytes(12).hex(), year=old["year"], contest=old["contest"])
    session.update(mode="practice", shuffle=True, score=1, total_attempted=2)
    session.update(problems_attempted=[first, second], **_target_analytics(), updated_at=old["created_at"])


def _target_analytics() -> Document:
    all_right, half_right, none_right = (1, 1, 100.0), (2, 1, 50.0), (1, 0, 0.0)
    return {
        "performance_metrics": {
            "total_metrics": {
                "total_attempted": 2,
                "total_correct": 1,
                "total_incorrect": 1,
                "total_time_ms": 120_000,
                "total_time_seconds": 120.0,
                "total_time_minutes": 2.0,
            },
            "average_metrics": {
                "accuracy_percentage": 50.0,
                "average_time_per_problem_ms": 60_000.0,
                "average_time_per_problem_seconds": 60.0,
                "average_time_correct_problems_ms": 61_000.0,
                "average_time_incorrect_problems_ms": 59_000.0,
            },
            "speed_metrics": {"fastest_correct_time_ms": 61_000, "slowest_correct_time_ms": 61_000},
        },
        "topic_performance": {"Algebra": _performance(*half_right), "Mean": _performance(*all_right)},
        "difficulty_performance": {"easy": _performance(*all_right), "medium": _performance(*none_right)},
        "total_time_ms": 120_000,
        "total_time_seconds": 120.0,
        "total_time_minutes": 2.0,
    }


def _performance(attempted: int, correct: int, accuracy: float) -> Document:
    return {"attempted": attempted, "correct": correct, "accuracy": accuracy}


ODDITIES: tuple[Oddity, ...] = (
    target_shape,
    scattered_fields,
    older_attempts,
    unjudged_attempts,
    object_id_problems,
    unknown_problems,
    enriched_attempts,
    strange_topics,
    no_attempts,
    empty_attempts,
    unmeasured_attempts,
    int64_times,
    fractional_times,
    null_total_time,
    older_total_time,
    existing_metrics,
    null_metrics,
    stale_analytics,
    kept_values,
    placeholder_user,
    nobody,
    unknown_user,
    extra_fields,
)


# Where it goes


def dump(collections: dict[str, Iterable[Document]], directory: Path, database: str) -> None:
    """Write what mongodump would have written of such a database."""
    folder = directory / database
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in collections.items():
        with (folder / f"{name}.bson").open("wb") as file:
            file.writelines(map(bson.encode, contents))
        (folder / f"{name}.metadata.json").write_text(json.dumps(_metadata(database, name)))


def _metadata(database: str, collection: str) -> Document:
    return {
        "indexes": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}],
        "uuid": uuid.uuid5(uuid.NAMESPACE_DNS, f"{collection}.{database}").hex,
        "collectionName": collection,
        "type": "collection",
    }


def insert(collections: dict[str, Iterable[Document]], uri: str, database: str) -> None:
    """Fill a server's database, which must not hold any of these documents yet."""
    client: MongoClient[Document] = MongoClient(uri)
    with client:
        target = client[database]
        full = [name for name in collections if target[name].find_one({}, {"_id": 1})]
        if full:
            raise SystemExit(f"{database} already has {', '.join(full)}: choose another --database")
        for name, contents in collections.items():
            remaining = iter(contents)
            while batch := list(itertools.islice(remaining, BATCH)):
                target[name].insert_many(batch)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a sample goAIME database.")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("directory", nargs="?", type=Path, help="write a mongodump directory here")
    target.add_argument("--uri", help="insert into this server instead")
    parser.add_argument("--database", default="goaime", help="its name (%(default)s)")
    parser.add_argument("--sessions", type=int, default=400, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=2022, help="another seed, other documents (%(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the sample where it says."""
    options = _arguments(arguments)
    collections = documents(options.sessions, options.seed)
    if options.uri:
        insert(collections, options.uri, options.database)
    else:
        dump(collections, options.directory, options.database)


if __name__ == "__main__":
    main()
