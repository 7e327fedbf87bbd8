"""R4's types and the profiles of this server as JSON Schema (https://json-schema.org/draft/2020-12/json-schema-core)."""
