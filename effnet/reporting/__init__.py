"""Reports of a comparison in one file: a page for people, a document for programs (docs/reports.md)."""
