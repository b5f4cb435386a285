"""Writes the JSON schema of experiment files, by which editors complete, explain and check them."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from tasks.experiment import Experiment
from tasks.recipes import OWN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "An experiment of kinescope"
LIKE = {
    "description": "name of a bundled experiment or path of a file, and after a # the place of a table in it, "
    "whose fields this table takes over, except those that it states itself",
    "type": "string",
}
NEEDED = ".needed"
"""Suffix of the names of definitions that only say which fields a table needs."""

Schema = dict[str, Any]


class FileSchema(GenerateJsonSchema):
    """Schema of what the tables of a file may state, before fields from other experiments are filled in.

    Every table may say ``like``, and need not state what it takes over: no field is required here, nor has a table that
    takes over another to state its name, so that several tables of a union may fit. TOML has no null: such fields are
    left out.
    """

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        table = super().model_schema(schema)
        table["properties"] = {"like": LIKE, **table["properties"]}
        if "description" in table:
            paragraph = table["description"].partition("\n\n")[0]
            table["description"] = " ".join(paragraph.split()).replace("``", "`")
        return table

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> Schema:
        union = super().tagged_union_schema(schema)
        union["anyOf"] = union.pop("oneOf")
        return union

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        field = super().default_schema(schema)
        return {name: value for name, value in field.items() if name != "default" or value is not None}

    def encode_default(self, dft: Any) -> Any:
        return _without_null(super().encode_default(dft))

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def experiment_schema() -> Schema:
    """Return the schema of an experiment's file."""
    root = Experiment.model_json_schema(schema_generator=FileSchema)
    tables = root.pop("$defs")
    always = [field for field in root["required"] if field in OWN]
    root["required"] = [field for field in root["required"] if field not in OWN]
    needed = _needed(root)
    definitions = tables | {name + NEEDED: _needed(table) for name, table in tables.items()}
    for table in tables.values():
        table.pop("required", None)
    return {"$schema": DIALECT, **root, "title": TITLE, "required": always, **needed, "$defs": definitions}


def text() -> str:
    """Format the schema as it lies beside the bundled experiments."""
    return json.dumps(experiment_schema(), indent=1, ensure_ascii=False)


def _needed(part: Schema) -> Schema:
    """Reduce a part of the schema to the fields that it and its parts require, unless it says ``like``."""
    if "$ref" in part:
        return {"$ref": part["$ref"] + NEEDED}
    if "discriminator" in part:
        named = part["discriminator"]["mapping"].items()
        return _unless_like({"required": ["name"], "allOf": [_if_named(name, table) for name, table in named]})
    if "anyOf" in part:
        return {"anyOf": [_needed(option) for option in part["anyOf"]]}
    if "properties" in part:
        inner = {name: _needed(field) for name, field in part["properties"].items()}
        fields = {name: needed for name, needed in inner.items() if needed}
        return _unless_like({"required": part.get("required", []), "properties": fields})
    items = _needed(part["items"]) if "items" in part else {}
    return {"items": items} if items else {}


def _if_named(name: str, table: str) -> Schema:
    return {
        "if": {"required": ["name"], "properties": {"name": {"const": name}}},
        "then": {"$ref": table + NEEDED},
    }


def _unless_like(needed: Schema) -> Schema:
    return {"if": {"required": ["like"]}, "else": {key: value for key, value in needed.items() if value}}


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(part) for name, part in value.items() if part is not None}
    return value
