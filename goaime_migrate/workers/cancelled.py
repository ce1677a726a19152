"""How a worker hears that its work is not wanted any more."""


class Cancelled(Exception):
    """The run has asked for a stop, or is gone."""
