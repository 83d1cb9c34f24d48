"""药溯 Yaosu: every scan of a drug box becomes one judged, recorded movement."""

__version__ = "0.1.0"
