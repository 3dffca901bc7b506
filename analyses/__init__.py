"""Lesions, uploads, analyses, results, history, API."""
