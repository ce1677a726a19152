"""Find a user's sessions by their date, and tell the server the shape that sessions have."""

from goaime_migrate import CreateIndex, Document, SetValidator

# Their order is for 0004 to keep: a server looks at values alone.
TARGET = (
    "session_id",
    "session_status",
    "created_at",
    "completed_at",
    "username",
    "user_id",
    "year",
    "contest",
    "mode",
    "shuffle",
    "score",
    "total_attempted",
    "problems_attempted",
    "performance_metrics",
    "topic_performance",
    "difficulty_performance",
    "total_time_ms",
    "total_time_seconds",
    "total_time_minutes",
)

PERFORMANCE: Document = {
    "bsonType": "object",
    "additionalProperties": {
        "bsonType": "object",
        "required": ["attempted", "correct", "accuracy"],
        "properties": {
            "attempted": {"bsonType": ["int", "long"]},
            "correct": {"bsonType": ["int", "long"]},
            "accuracy": {"bsonType": "number"},
        },
    },
}

ATTEMPT: Document = {
    "bsonType": "object",
    "required": ["correct_answer", "difficulty", "topics"],
    "properties": {
        "difficulty": {"bsonType": ["string", "null"]},
        "topics": {"bsonType": "array", "items": {"bsonType": "string"}},
    },
}

# What 0001 to 0004 promise, and no more: what they keep as the app wrote it may have any value.
SESSION: Document = {
    "required": [*TARGET],
    "properties": {
        "problems_attempted": {"bsonType": "array", "items": ATTEMPT},
        "performance_metrics": {"not": {"bsonType": "null"}},
        "topic_performance": PERFORMANCE,
        "difficulty_performance": PERFORMANCE,
        "total_time_ms": {"bsonType": ["number", "null"]},
    },
}

# The progress page asks for the sessions of one user, the newest first, and reads everything else that is new
# out of them: nothing is looked for by topic, by difficulty or by time, so that no index would serve.
#
# The validator warns: an app of an earlier release goes on saving the old shape, which must not cost a session.
operations = [
    CreateIndex("sessions", [("user_id", 1), ("completed_at", -1)]),
    SetValidator("sessions", SESSION, level="moderate", action="warn"),
]
