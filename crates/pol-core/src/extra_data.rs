//! Written next: see docs/PROTOCOL.md.
