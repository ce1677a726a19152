"""Convert amounts."""

from goaime_migrate import Lookup, TransformDocuments


def convert(account, rates):
    if account["n"] < 0:
        raise ValueError("n: is negative")
    account["n"] *= rates[account["currency"]]["rate"]


operations = [TransformDocuments("accounts", convert, rates=Lookup("rates", key="currency", fields=["rate"]))]
