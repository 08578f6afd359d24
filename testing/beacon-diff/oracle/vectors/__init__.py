"""Programs of the committed vectors: each returns {file name: content}."""
