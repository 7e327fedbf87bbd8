"""Broken inputs for the parsers and the validation: no exception but FhirError, no time beyond the input's size."""
