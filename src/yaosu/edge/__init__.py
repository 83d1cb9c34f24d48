"""What every room's API and pages share: connection, subject, problem answers, rendering."""

from starlette.convertors import PathConvertor, register_url_convertor


class _AnyText(PathConvertor):
    """A scanned code may hold a line end: `.*` alone stops there, and the address would not be found."""

    regex = "(?s:.*)"


# before any room declares its routes: all of them import this package
register_url_convertor("path", _AnyText())
