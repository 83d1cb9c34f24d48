"""The digital twin: provinces that are played through the public API (R-X12).

`demo` is the province that `yaosu demo` shows. Everything that can be said of it is data (`demo/*.yaml`), the
calendar is drawn by a seeded generator (`plan`), and nothing but accounts and first keys is made past the API.
"""
