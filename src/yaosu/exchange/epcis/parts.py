"""Starts what works capture jobs off and notifies subscribers, once per server process."""

from yaosu.exchange.epcis.runner import started as start

__all__ = ["start"]
