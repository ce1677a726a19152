"""Book them."""

from goaime_migrate import Lookup, TransformDocuments


def book(account, rates):
    account["n"] += 7
    account["bank"] = rates[account["rate_id"]]["bank"]


operations = [TransformDocuments("accounts", book, rates=Lookup("rates"))]
