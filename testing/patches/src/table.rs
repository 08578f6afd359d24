//! The table of patches/lighthouse/README.md.

/// What a README says of one file of one patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The patch's file name.
    pub patch: String,
    /// The file of Lighthouse.
    pub file: String,
    /// Lines added.
    pub added: usize,
    /// Lines of Lighthouse that go, or are changed.
    pub removed: usize,
}

/// The rows whose first cell is a patch, or empty for one more file of the patch above: `| patch | file | +a -r | why | without it |`.
pub fn rows(markdown: &str) -> Vec<Row> {
    let mut patch = String::new();
    let mut rows = Vec::new();
    for line in markdown.lines() {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, file, lines, ..] = cells[..] else { continue };
        let count = |sign: char| lines.split(' ').find_map(|part| part.strip_prefix(sign)?.parse::<usize>().ok());
        let Some(added) = count('+') else { continue };
        if !name.is_empty() {
            name.clone_into(&mut patch);
        }
        rows.push(Row { patch: patch.clone(), file: file.to_owned(), added, removed: count('-').unwrap_or(0) });
    }
    rows
}
