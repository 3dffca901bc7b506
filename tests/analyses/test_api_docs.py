"""The API documents itself, under the content security policy of the product."""

from __future__ import annotations

import re

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_schema_is_public_and_names_every_path() -> None:
    response = Client().get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi"})
    schema = yaml.safe_load(response.content)
    assert {
        "/api/v1/tokens/",
        "/api/v1/analyses/",
        "/api/v1/analyses/{analysis_id}/",
        "/api/v1/analyses/{analysis_id}/heatmap.png",
        "/api/v1/analyses/export.csv",
        "/api/v1/lesions/",
    } <= set(schema["paths"])
    submission = schema["paths"]["/api/v1/analyses/"]["post"]
    assert "multipart/form-data" in submission["requestBody"]["content"]
    assert "202" in submission["responses"]
    assert "bearer" in str(schema["components"]["securitySchemes"]).lower()


def test_the_page_has_no_inline_code_and_only_own_files_that_exist() -> None:
    response = Client().get("/api/v1/docs/")
    page = response.content.decode()
    assert response.status_code == 200
    assert "'unsafe-inline'" not in response["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert addresses
    for address in addresses:
        assert address.startswith("/")
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/")), address


def test_the_script_of_the_page_is_served_as_a_script() -> None:
    page = Client().get("/api/v1/docs/").content.decode()
    (address,) = re.findall(r"<script src=\"(/api/[^\"]+)\"", page)
    script = Client().get(address.replace("&amp;", "&"))
    assert script.status_code == 200
    assert script["Content-Type"].startswith("application/javascript")
    assert b"SwaggerUIBundle" in script.content
