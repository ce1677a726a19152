"""Databases: the ports that the engine needs, and what stands behind them."""
