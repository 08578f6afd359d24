"""Programs that write the golden vectors; each has `generate() -> {file name: document}`."""
