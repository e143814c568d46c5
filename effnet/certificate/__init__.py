"""Certificates: a conversion that was run in both frameworks, and can be run again (docs/certificates.md)."""
