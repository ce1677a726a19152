"""A MongoDB server as a database: standalone or replica set."""
