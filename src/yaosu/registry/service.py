"""The registry's verbs in one place; each is described where it lives."""

from yaosu.registry.places import Place, close_place, create_place, places, rename_place, reopen_place
from yaosu.registry.service_filings import (
    file_rule,
    get_filing,
    list_filings,
    list_systems,
    put_system,
    refile,
    require_filed,
)
from yaosu.registry.service_lists import current as current_lists
from yaosu.registry.service_lists import override_item
from yaosu.registry.service_orgs import (
    create_org,
    find_org,
    get_org,
    licence_warnings,
    licences,
    list_orgs,
    put_licence,
    search_orgs,
    update_org,
)
from yaosu.registry.service_products import (
    create_product,
    find_product,
    get_product,
    in_use_checks,
    list_products,
    update_product,
)

__all__ = [
    "Place",
    "close_place",
    "create_org",
    "create_place",
    "create_product",
    "current_lists",
    "file_rule",
    "find_org",
    "find_product",
    "get_filing",
    "get_org",
    "get_product",
    "in_use_checks",
    "licence_warnings",
    "licences",
    "list_filings",
    "list_orgs",
    "list_products",
    "list_systems",
    "override_item",
    "places",
    "put_licence",
    "put_system",
    "refile",
    "rename_place",
    "reopen_place",
    "require_filed",
    "search_orgs",
    "update_org",
    "update_product",
]
