"""Pages of a list."""

from __future__ import annotations

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=`, up to 100."""

    page_size_query_param = "page_size"
    max_page_size = 100
